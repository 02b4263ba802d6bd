"""Export the streaming step and the item scores to ONNX.

The step is exported instead of the sequence model, because the exporter would fix the sequence length. One file takes
one event of each of any number of users, the other has the item table.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from recbole_longinterest.common.packages import require
from recbole_longinterest.nn.attention import RunningAttention
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.model_folder import ExportError

OPSET = 17
STATE = ("recurrent", "sums")


class _Step(nn.Module):
    """:meth:`InterestNetwork.extend` for one event of each user, with half as many graph nodes.

    For a single event, the number of nodes costs more than the arithmetic. So tables of a linear fusion are projected
    at export, and layers and attention are specialised for one position.
    """

    def __init__(self, network: InterestNetwork) -> None:
        super().__init__()
        self.network = network
        self.sources = network.fusion.sources
        self.tables = nn.ParameterDict()
        fusion, items = network.fusion, network.item_vectors()
        linear = fusion.gate is None
        self.tables["item"] = fusion.item(items) if linear else items
        if linear and fusion.context is not None:
            for name, source in self.sources.items():
                self.tables[f"of {name}"] = fusion.context(source.weight)

    def forward(self, item: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = zip(self.sources.items(), rest, strict=False)
        levels = {name: source.step_levels(value) for (name, source), value in given}  # [B] or [B, S] each
        fused = self._fused(item, levels)
        encoder = self.network.interest_encoder
        states, recurrent = encoder.rnn.step(fused, rest[-2])
        attended, sums = None, rest[-1]
        if encoder.attention is not None:
            width = encoder.hidden_size // encoder.attention.heads
            attended, sums = _attend(encoder.attention, width, fused, states, sums)
        return encoder.interest_of(fused, states, attended), recurrent, sums

    def _fused(self, item: Tensor, levels: dict[str, Tensor]) -> Tensor:
        event = self.tables["item"][item]  # [B, D]
        if self.network.fusion.gate is not None:
            return self.network.fusion(event, levels)
        for name, source in self.sources.items():
            event = event + source.lookup(self.tables[f"of {name}"], levels[name])
        return self.network.fusion.norm(event)


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
        network: network in evaluation mode, without gradients.
        step_file: output file of the step.
        scores_file: output file of the scores.
        int8: write weights and tables in int8 (onnxruntime's dynamic quantization).

    Raises:
        LongInterestError: if onnx (or onnxruntime for int8) is not installed, or this torch cannot export the step.
    """
    require("onnx", "An ONNX export")
    step = _Step(network)
    examples = [source.example() for source in step.sources.values()]
    inputs = (torch.ones(2, dtype=torch.int64), *examples)
    inputs += tuple(network.interest_encoder.start(2))
    outputs = ["interest", *(f"{name}_out" for name in STATE)]
    _export(step, inputs, step_file, ["item", *step.sources, *STATE], outputs)
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
    for name, example in zip(names, inputs, strict=True):
        if name not in STATE and example.dim() > 1:
            axes[name][1] = f"tokens of {name}"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # a false warning about the batch size of the exporter's LSTM
        try:
            torch.onnx.export(
                module.eval(),
                inputs,
                str(file),
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,  # the dynamo exporter needs onnxscript, takes 20 s, and its graph is half as fast
            )
        except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
            raise ExportError(f"torch {torch.__version__} cannot export the step to ONNX: {error}") from error
