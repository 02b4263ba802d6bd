"""Recurrent cells, which update a user's state at every event.

To add one: subclass :class:`Cell` in a module of your own, call :func:`register_cell`, set ``rnn_type`` to its name.
"""

from recbole_longinterest.nn.cells.base import CELLS, Cell, register_cell
from recbole_longinterest.nn.cells.gru import GRU
from recbole_longinterest.nn.cells.lstm import LSTM

__all__ = ["CELLS", "GRU", "LSTM", "Cell", "register_cell"]

register_cell("LSTM", LSTM)
register_cell("GRU", GRU)
