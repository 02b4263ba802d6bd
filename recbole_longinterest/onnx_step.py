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

from recbole_longinterest.exported import ExportError
from recbole_longinterest.model.layers import EncoderState
from recbole_longinterest.model.network import InterestNetwork
from recbole_longinterest.packages import require

STEP, SCORES = "step.onnx", "scores.onnx"
OPSET = 17
STATE = ("recurrent", "sums")


class _Step(nn.Module):
    """The network's own step with its side values as arguments in a fixed order."""

    items: Tensor

    def __init__(self, network: InterestNetwork) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("items", network.item_vectors())
        self.names = list(network.fusion.levels)

    def forward(self, item: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = dict(zip(self.names, rest, strict=False))
        levels = self.network.levels_of({name: value.unsqueeze(1) for name, value in values.items()})
        state = EncoderState(rest[-2], rest[-1])
        interest, state = self.network.extend(item.unsqueeze(1), levels, self.items, state)
        return interest, state.recurrent, state.sums


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
    _export(_Scores(network), (torch.zeros(2, step.items.shape[1]),), folder / SCORES, ["interest"], ["scores"])
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
    """The files of :func:`write_onnx` as the engine of a :class:`~recbole_longinterest.recommender.Recommender`.

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

        def session(name: str) -> Any:  # noqa: ANN401
            try:
                return onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime's own classes, one for each way a file can be broken
                raise ExportError(
                    f"{folder / name} is broken or was cut short. Export the checkpoint again."
                ) from error

        self._step, self._scores = session(STEP), session(SCORES)

    def step(
        self, items: NDArray[np.int64], values: dict[str, NDArray[Any]], state: EncoderState
    ) -> tuple[Tensor, EncoderState]:
        """As :meth:`recbole_longinterest.recommender.Recommender.step`."""
        feed = {**values, "item": items, "recurrent": state.recurrent.numpy(), "sums": state.sums.numpy()}
        interest, recurrent, sums = self._step.run(None, feed)
        return torch.from_numpy(interest), EncoderState(torch.from_numpy(recurrent), torch.from_numpy(sums))

    def scores_of(self, interest: Tensor) -> Tensor:
        """As :meth:`recbole_longinterest.recommender.Recommender.scores_of`."""
        (scores,) = self._scores.run(None, {"interest": interest.numpy()})
        return torch.from_numpy(scores)
