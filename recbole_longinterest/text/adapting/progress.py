"""Save the state of an adaptation in one file, so that the same command can continue after an interruption."""

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
    """Progress of a training.

    Attributes:
        epoch: the current epoch, from 1.
        step: number of finished batches of this epoch.
        steps: number of finished batches since the start.
        texts: number of texts for the progress bar.
        values: value on the held-out items before the first epoch and after each epoch.
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
        """Epoch of the best value; 0 for the encoder before the training."""
        return max(range(len(self.values)), key=lambda epoch: (self.values[epoch], -epoch))


class ProgressFile:
    """The file with the state.

    Args:
        path: path of the file.
        about: settings and data of the training. A file of another training is an error.
    """

    def __init__(self, path: Path, about: Mapping[str, object]) -> None:
        self.path = path
        self.about = json.dumps(about, sort_keys=True, default=str)

    def write(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Write progress and tensors atomically; they replace earlier ones."""
        metadata = {"about": self.about, "progress": json.dumps(asdict(progress))}
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_bytes(self.path, save(copies, metadata))

    def read(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """Read progress and tensors; None if there is no file.

        Raises:
            EncoderError: if the file is damaged or belongs to another training.
        """
        if not self.path.is_file():
            return None
        way_out = "Give --restart to start again, or another --output."
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
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
