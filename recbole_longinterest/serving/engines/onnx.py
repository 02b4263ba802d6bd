"""The streaming step and the ranking of all items as ONNX, for onnxruntime: another engine under the same states.

The step is exported and not the sequence, whose length an exporter freezes: `step.onnx` takes one event of each of any
number of users, and `scores.onnx` has the item table.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.packages import require
from recbole_longinterest.nn.attention import RunningAttention
from recbole_longinterest.nn.levels import TIME_GAP_EDGES, rating_edges
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.model_folder import ExportError

STEP, SCORES = "step.onnx", "scores.onnx"
OPSET = 17
STATE = ("recurrent", "sums")


class _Step(nn.Module):
    """One event of each user: what :meth:`InterestNetwork.extend` gives for one position, in half of its nodes.

    For an event alone a node costs more than its numbers. So the tables are projected beforehand where the fusion is
    linear, and layers and attention are written for one position.
    """

    def __init__(self, network: InterestNetwork) -> None:
        super().__init__()
        self.network = network
        self.names = list(network.fusion.levels)
        self.tables = nn.ParameterDict()
        fusion, items = network.fusion, network.item_vectors()
        self.edges = {"time": TIME_GAP_EDGES}
        if "rating" in self.names:
            self.edges["rating"] = rating_edges(network.rating_values)
        linear = fusion.gate is None
        self.tables["item"] = fusion.item(items) if linear else items
        if linear and fusion.context is not None:
            for name, table in fusion.levels.items():
                self.tables[name] = fusion.context(table.weight)

    def forward(self, item: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = {name: self._level(name, value) for name, value in zip(self.names, rest, strict=False)}  # [B] each
        fused = self._fused(item, levels)
        encoder = self.network.interest_encoder
        states, recurrent = _one_step(encoder.rnn, fused, rest[-2])
        attended, sums = None, rest[-1]
        if encoder.attention is not None:
            width = encoder.rnn.hidden_size // encoder.attention.heads
            attended, sums = _attend(encoder.attention, width, fused, states, sums)
        return encoder.interest_of(fused, states, attended), recurrent, sums

    def _level(self, name: str, value: Tensor) -> Tensor:
        """As :meth:`InterestNetwork.levels_of`: how many edges the value has reached; NaN reaches none."""
        if name == "behavior":
            return value
        value, edges = value.unsqueeze(1), self.edges[name]
        return (value > edges if name == "rating" else value >= edges).sum(dim=1)

    def _fused(self, item: Tensor, levels: dict[str, Tensor]) -> Tensor:
        event = self.tables["item"][item]  # [B, D]
        if self.network.fusion.gate is not None:
            return self.network.fusion(event, levels)
        for name in self.names:
            event = event + self.tables[name][levels[name]]
        return self.network.fusion.norm(event)


def _one_step(rnn: nn.LSTM | nn.GRU, event: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
    """One step of all layers: [B, D] and the recurrent state, [B, parts, H], to [B, H] and the state after."""
    parts = len(rnn.all_weights) * (2 if isinstance(rnn, nn.LSTM) else 1)  # a number: a shape is three nodes
    before = carried.reshape(-1, parts * rnn.hidden_size).split(rnn.hidden_size, dim=1)
    layers, hidden_after, cell_after = rnn.num_layers, [], []
    for layer in range(layers):
        ours, theirs, our_bias, their_bias = rnn.all_weights[layer]
        hidden = before[layer]
        if isinstance(rnn, nn.LSTM):
            width = rnn.hidden_size
            kept = [slice(0, 2 * width), slice(3 * width, 4 * width), slice(2 * width, 3 * width)]  # i, f, o, then g
            weight = torch.cat([torch.cat([ours[part], theirs[part]], dim=1) for part in kept])
            bias = torch.cat([our_bias[part] + their_bias[part] for part in kept])
            gates = functional.linear(torch.cat([event, hidden], dim=1), weight, bias)
            opened, offered = gates.split([3 * width, width], dim=1)
            put, keep, show = opened.sigmoid().split(width, dim=1)
            cell = keep * before[layers + layer] + put * offered.tanh()
            event = show * cell.tanh()
            cell_after.append(cell)
        else:
            ours_reset, ours_keep, ours_new = functional.linear(event, ours, our_bias).chunk(3, dim=1)
            reset, keep, new = functional.linear(hidden, theirs, their_bias).chunk(3, dim=1)
            new = (ours_new + (ours_reset + reset).sigmoid() * new).tanh()
            event = new + (ours_keep + keep).sigmoid() * (hidden - new)
        hidden_after.append(event)
    return event, torch.cat([*hidden_after, *cell_after], dim=1).reshape(-1, parts, rnn.hidden_size)


def _attend(
    attention: RunningAttention, width: int, fused: Tensor, states: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor]:
    """What :meth:`RunningAttention.extend` gives for one event; ``width`` is ``V``."""
    scores = attention.score(torch.cat([fused, states], dim=1)).to(sums.dtype).unsqueeze(-1)  # [B, K, 1]
    values = states.reshape(-1, attention.heads, width).to(sums.dtype)  # [B, K, V]
    before, denominator, numerator = sums.split([1, 1, width], dim=-1)
    top = torch.maximum(before, scores)
    kept, weight = (before - top).exp(), (scores - top).exp()
    denominator, numerator = denominator * kept + weight, numerator * kept + values * weight
    attended = (numerator / denominator).to(states.dtype).reshape(-1, attention.heads * width)
    return attended, torch.cat([top, denominator, numerator], dim=-1)


class _Scores(nn.Module):
    items: Tensor

    def __init__(self, network: InterestNetwork) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("items", network.item_vectors())

    def forward(self, interest: Tensor) -> Tensor:
        interest, items = self.network.comparable(interest, self.items)
        return interest @ items.T


def write_onnx(network: InterestNetwork, folder: Path, int8: bool = False) -> list[Path]:
    """Write `step.onnx` and `scores.onnx` into a folder.

    Args:
        network: in evaluation mode, without gradients.
        folder: of the exported model.
        int8: with weights and tables in int8 (onnxruntime's dynamic quantization).

    Returns:
        The two files.

    Raises:
        ValueError: if onnx, or for int8 onnxruntime, is not installed, or this torch cannot export the step.
    """
    require("onnx", "An ONNX export")
    step = _Step(network)
    example = {
        "rating": torch.zeros(2),
        "behavior": torch.zeros(2, dtype=torch.int64),
        "time": torch.zeros(2),
    }
    inputs = (torch.ones(2, dtype=torch.int64), *(example[name] for name in step.names))
    inputs += tuple(network.interest_encoder.start(2))
    _export(
        step, inputs, folder / STEP, ["item", *step.names, *STATE], ["interest", *(f"{name}_out" for name in STATE)]
    )
    _export(
        _Scores(network), (torch.zeros(2, network.fusion.item.in_features),), folder / SCORES, ["interest"], ["scores"]
    )
    files = [folder / STEP, folder / SCORES]
    if int8:
        require("onnxruntime", "An int8 ONNX export")
        from onnxruntime.quantization import QuantType, quantize_dynamic

        for file in files:
            draft = file.with_suffix(".int8")
            quantize_dynamic(file, draft, weight_type=QuantType.QInt8, per_channel=True)
            draft.replace(file)
    return files


def _export(module: nn.Module, inputs: tuple[Tensor, ...], file: Path, names: list[str], outputs: list[str]) -> None:
    axes = {name: {0: "users"} for name in [*names, *outputs]}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of a batch size that its own LSTM takes as given
        try:
            torch.onnx.export(
                module.eval(),
                inputs,
                str(file),
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,  # the other exporter needs onnxscript, takes 20 s, and its graph is half as fast
            )
        except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
            raise ExportError(f"torch {torch.__version__} cannot export the step to ONNX: {error}") from error


class OnnxEngine:
    """The files of :func:`write_onnx` as the engine of a `Recommender`.

    Args:
        folder: of the exported model.

    Raises:
        ValueError: if onnxruntime is not installed, or the folder has no such files.
    """

    def __init__(self, folder: Path) -> None:
        require("onnxruntime", "The onnx engine")
        import onnxruntime

        missing = [name for name in (STEP, SCORES) if not (folder / name).is_file()]
        if missing:
            raise ExportError(
                f"{folder} has no {' and no '.join(missing)}. Export the checkpoint again: "
                "recbole-li export CHECKPOINT --output DIR --onnx"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1

        # For one user, a table in its own order is read twice as fast as one packed for many.
        options.add_session_config_entry("session.disable_prepacking", "1")

        def session(name: str) -> Any:  # noqa: ANN401
            try:
                return onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime's own classes, one for each way a file can be broken
                raise ExportError(
                    f"{folder / name} is broken or was cut short. Export the checkpoint again."
                ) from error

        self._step, self._scores = session(STEP), session(SCORES)
        self._step_outputs = [output.name for output in self._step.get_outputs()]

    def step(self, items: NDArray[np.int64], values: dict[str, NDArray[Any]], state: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """As :meth:`recbole_longinterest.serving.recommender.Recommender.raw_step`, in arrays."""
        feed = {**values, "item": items, "recurrent": np.asarray(state[0]), "sums": np.asarray(state[1])}
        interest, *after = self._step.run(self._step_outputs, feed)
        return interest, after

    def scores_of(self, interest: Tensor) -> Tensor:
        """As :meth:`recbole_longinterest.serving.recommender.Recommender.scores_of`."""
        (scores,) = self._scores.run(None, {"interest": interest.numpy()})
        return torch.from_numpy(scores)
