"""The ONNX engine: runs the files of :mod:`recbole_longinterest.serving.engines.onnx_export` with onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.packages import require
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.engines.base import Array, Engine
from recbole_longinterest.serving.model_folder import ExportError, Served

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

STEP, SCORES = "step.onnx", "scores.onnx"
QUANTIZED = b"QuantizeLinear"  # part of a node name in every int8 graph


class OnnxEngine(Engine):
    """ONNX engine: several times faster than torch for single events; its item table is fixed.

    Args:
        step: content of ``step.onnx``; later changes of the file have no effect.
        scores: content of ``scores.onnx``.
        where: their folder, for error messages.

    Raises:
        LongInterestError: if onnxruntime is not installed, or the files are broken.
    """

    can_grow = False
    files = (STEP, SCORES)

    def __init__(self, step: bytes, scores: bytes, where: Path) -> None:
        require("onnxruntime", "The onnx engine")
        self._step, self._scores = _session(step, where / STEP), _session(scores, where / SCORES)
        self.exact = not any(QUANTIZED in content for content in (step, scores))
        self._step_outputs = [output.name for output in self._step.get_outputs()]

    @classmethod
    def write(cls, network: InterestNetwork, folder: Path, int8: bool = False) -> None:
        """Write ``step.onnx`` and ``scores.onnx``; see :func:`~.onnx_export.write_onnx`."""
        from recbole_longinterest.serving.engines.onnx_export import write_onnx  # late: only an export needs it

        write_onnx(network, folder / STEP, folder / SCORES, int8)

    @classmethod
    def load(cls, served: Served, network: InterestNetwork, items: Tensor) -> "OnnxEngine":
        """See :meth:`Engine.load`."""
        if served.folder is None:
            raise ExportError(
                "The onnx engine reads files of an exported folder, but this model is only in memory. Write it with "
                "recbole-li export --onnx and load the folder."
            )
        require("onnxruntime", "The onnx engine")
        missing = [name for name in cls.files if not (served.folder / name).is_file()]
        if missing:
            raise ExportError(
                f"{served.folder} has no {' and no '.join(missing)}. Export the checkpoint again: "
                "recbole-li export CHECKPOINT --output DIR --onnx"
            )
        return cls(served.content(STEP), served.content(SCORES), served.folder)

    def step(
        self, items: NDArray[np.int64], values: Mapping[str, NDArray[Any]], state: Sequence[Array]
    ) -> tuple[Array, Sequence[Array]]:
        """See :meth:`Engine.step`."""
        feed = {**values, "item": items, "recurrent": np.asarray(state[0]), "sums": np.asarray(state[1])}
        interest, *after = self._step.run(self._step_outputs, feed)
        return interest, after

    def scores_of(self, interest: Tensor) -> Tensor:
        """See :meth:`Engine.scores_of`."""
        (scores,) = self._scores.run(None, {"interest": interest.numpy()})
        return torch.from_numpy(scores)


def _session(content: bytes, file: Path) -> "InferenceSession":
    import onnxruntime  # late: an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    # For one user, an unpacked table is read twice as fast as one prepacked for large batches.
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many different exception classes for broken files
        raise ExportError(f"{file} is broken or was cut short. Export the checkpoint again.") from error
