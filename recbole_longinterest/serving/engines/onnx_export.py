"""Export of the streaming step and of the item ranking to ONNX.

The step is exported and not the sequence, because an exporter freezes a sequence's length. One file takes one event of
each of any number of users, the other has the item table.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.packages import require
from recbole_longinterest.nn.attention import RunningAttention
from recbole_longinterest.nn.levels import TIME_GAP_EDGES, rating_edges
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.model_folder import ExportError

OPSET = 17
STATE = ("recurrent", "sums")


class _Step(nn.Module):
    """One event of each user: :meth:`InterestNetwork.extend` for one position, in half of its nodes.

    For a single event, the number of nodes costs more than the arithmetic. So a linear fusion's tables are projected
    at export, and layers and attention are written for one position.
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
    """:meth:`RunningAttention.extend` for one event; ``width`` is ``V``."""
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


def write_onnx(network: InterestNetwork, step_file: Path, scores_file: Path, int8: bool = False) -> None:
    """Write the step and the scores of a network.

    Args:
        network: in evaluation mode, without gradients.
        step_file: to write the step to.
        scores_file: to write the scores to.
        int8: write weights and tables in int8 (onnxruntime's dynamic quantization).

    Raises:
        LongInterestError: if onnx, or for int8 onnxruntime, is not installed, or this torch cannot export the step.
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
    outputs = ["interest", *(f"{name}_out" for name in STATE)]
    _export(step, inputs, step_file, ["item", *step.names, *STATE], outputs)
    interest = torch.zeros(2, network.fusion.item.in_features)
    _export(_Scores(network), (interest,), scores_file, ["interest"], ["scores"])
    if int8:
        require("onnxruntime", "An int8 ONNX export")
        from onnxruntime.quantization import QuantType, quantize_dynamic  # late: an extra

        for file in (step_file, scores_file):
            draft = file.with_suffix(".int8")
            quantize_dynamic(file, draft, weight_type=QuantType.QInt8, per_channel=True)
            draft.replace(file)


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
