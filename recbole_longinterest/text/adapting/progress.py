"""State of an interrupted adaptation: one file, written atomically, from which the same command goes on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recbole_longinterest.common.files import write_bytes
from recbole_longinterest.common.leftovers import sweep
from recbole_longinterest.text.folder import EncoderError


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: number of the epoch that runs, from 1.
        step: batches of it that are done.
        steps: batches since the start.
        texts: for the progress bar.
        values: value on the held-out items before the first epoch and after each.
        loss: sum of the losses of the epoch's batches.
    """

    epoch: int = 1
    step: int = 0
    steps: int = 0
    texts: int = 0
    values: list[float] = field(default_factory=list)
    loss: float = 0.0

    @property
    def best(self) -> int:
        """Epoch of the best value; 0 is the encoder before the training."""
        return max(range(len(self.values)), key=lambda epoch: (self.values[epoch], -epoch))


class ProgressFile:
    """The file.

    Args:
        path: of the file.
        about: what determines the training, as settings and data; a file of another training is refused.
    """

    def __init__(self, path: Path, about: Mapping[str, object]) -> None:
        self.path = path
        self.about = json.dumps(about, sort_keys=True, default=str)

    def write(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Write state and tensors in place of earlier ones."""
        metadata = {"about": self.about, "progress": json.dumps(asdict(progress))}
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_bytes(self.path, save(copies, metadata))

    def read(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """State and tensors; None if there is no file.

        Raises:
            EncoderError: if the file is damaged or of another training.
        """
        if not self.path.is_file():
            return None
        way_out = "Give --restart to begin anew, or another --output."
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            about, progress = metadata["about"], Progress(**json.loads(metadata["progress"]))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise EncoderError(f"{self.path}, the state of an interrupted adaptation, is damaged. {way_out}") from error
        if about != self.about:
            then, now = json.loads(about), json.loads(self.about)
            changed = sorted(key for key in {*then, *now} if then.get(key) != now.get(key))
            raise EncoderError(
                f"{self.path} is the state of an interrupted adaptation with another {', '.join(changed)}. {way_out}"
            )
        return progress, tensors

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        sweep(self.path)
