"""A recurrent cell from a file of its own holds what the built-in ones hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.config import Config
from torch import Tensor, nn

from recbole_longinterest.nn.cells import CELLS, Cell, register_cell
from tests.contracts import check_contracts

# --- a cell in one file ----------------------------------------------------------------------------------------------


class LeakySum(Cell):
    """An exponential average of projected events: ``s_t = a s_{t-1} + (1 - a) W x_t``, output ``tanh(s_t)``."""

    def __init__(self, dim: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(dim, hidden_size)
        self.keep = nn.Parameter(torch.zeros(hidden_size))
        self.state_shape = 1, hidden_size

    def forward(self, fused: Tensor) -> Tensor:
        return self.extend(fused, self.start(len(fused)))[0]

    def extend(self, fused: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        state, keep, outputs = carried[:, 0], self.keep.sigmoid(), []
        for event in self.project(fused).unbind(dim=1):
            state = keep * state + (1 - keep) * event
            outputs.append(state.tanh())
        return torch.stack(outputs, dim=1), state.unsqueeze(1)


@pytest.fixture
def leaky_sum() -> Any:
    register_cell("LeakySum", LeakySum)
    yield
    CELLS.remove("LeakySum")


# --- what it holds ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("leaky_sum")
def test_a_cell_of_ones_own(small_config: Callable[..., Config], tmp_path: Path) -> None:
    model = check_contracts(small_config, tmp_path / "model", rnn_type="LeakySum")
    assert isinstance(model.network.interest_encoder.rnn, LeakySum)


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_the_built_in_cells(small_config: Callable[..., Config], tmp_path: Path, cell: str) -> None:
    check_contracts(small_config, tmp_path / "model", rnn_type=cell, num_layers=2)


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_one_step_equals_extending_by_one_event(cell: str) -> None:
    rnn = CELLS.get(cell)(6, 8, 2, 0.0)
    carried = torch.randn(4, *rnn.state_shape)
    event = torch.randn(4, 6)
    output, after = rnn.step(event, carried)
    outputs, expected = rnn.extend(event.unsqueeze(1), carried)
    torch.testing.assert_close(output, outputs[:, 0])
    torch.testing.assert_close(after, expected)


def test_a_cell_without_parameters_has_a_start() -> None:
    class Last(Cell):
        state_shape = 1, 6

        def forward(self, fused: Tensor) -> Tensor:
            return fused

        def extend(self, fused: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
            return fused, fused[:, -1:]

    assert torch.equal(Last().start(4), torch.zeros(4, 1, 6))


def test_an_unknown_cell_and_a_taken_name(small_config: Callable[..., Config]) -> None:
    from recbole_longinterest.nn.options import ModelOptions

    with pytest.raises(
        ValueError, match=r"rnn_type must be one of LSTM, GRU; got 'RNN'\. A part of your own must be known"
    ):
        ModelOptions.from_config(small_config(rnn_type="RNN"))
    with pytest.raises(ValueError, match="register_cell: the name 'LSTM' is taken"):
        register_cell("LSTM", LeakySum)
    with pytest.raises(ValueError, match=r"rnn_type must be one of LSTM, GRU; got 'RNN'\. To use your own"):
        CELLS.get("RNN")
