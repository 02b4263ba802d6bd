"""Serving engines, which compute the state update and the scores of all items.

``torch`` and ``onnx`` are built in. To add an engine, register a subclass of :class:`Engine` under a name:

    from recbole_longinterest.serving.engines import Engine, register_engine

    register_engine("mine", MyEngine)
    Recommender.load("model", engine="mine")

An installed package can register its engine for the commands with an entry point in the group
``recbole_longinterest.engines``; the entry point's name is the engine's name, its value the class.
"""

from recbole_longinterest.serving.engines.agreement import check_agreement
from recbole_longinterest.serving.engines.base import Array, Engine
from recbole_longinterest.serving.engines.onnx import OnnxEngine
from recbole_longinterest.serving.engines.registry import (
    engine_names,
    engine_of,
    engines_in,
    register_engine,
    writer_of,
)
from recbole_longinterest.serving.engines.torch import TorchEngine

register_engine("torch", TorchEngine)
register_engine("onnx", OnnxEngine)

__all__ = [
    "Array",
    "Engine",
    "OnnxEngine",
    "TorchEngine",
    "check_agreement",
    "engine_names",
    "engine_of",
    "engines_in",
    "register_engine",
    "writer_of",
]
