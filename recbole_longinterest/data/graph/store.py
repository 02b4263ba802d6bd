"""Trained vectors of a knowledge graph on disk, and the state of a training that was stopped.

``<cache>/<hash of graph and settings>/graph.json`` says what was trained; beside it lie the vectors,
``<SHA-256 of the file>.safetensors``, so that a reader can tell a damaged file, and ``state.safetensors`` as long as a
training is not finished.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from logging import getLogger
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save
from safetensors.torch import save as save_tensors
from torch import Tensor

from recbole_longinterest.common.files import write_bytes
from recbole_longinterest.common.known_places import default_cache_dir
from recbole_longinterest.common.leftovers import sweep_folder
from recbole_longinterest.data.graph.settings import GraphSettings
from recbole_longinterest.data.graph.triples import KnowledgeGraph

FORMAT = 1  # raised when a training would give other vectors
STATE = "state.safetensors"


@dataclass(frozen=True)
class GraphVectors:
    """Trained vectors.

    Attributes:
        entities: float32 [E, D], in the order of the graph's entities. ComplEx and RotatE: real, then imaginary parts.
        relations: float32 [R, D]; [R, D / 2] for RotatE, whose relations are angles.
    """

    entities: NDArray[np.float32]
    relations: NDArray[np.float32]


class GraphStore:
    """The folder of one graph and one choice of settings.

    What cannot be read or written is a warning, never an error: the vectors are trained again.

    Args:
        graph: whose vectors they are.
        settings: of the training.
        cache_dir: folder of the cache; None is the user's.
    """

    def __init__(self, graph: KnowledgeGraph, settings: GraphSettings, cache_dir: Path | None = None) -> None:
        self.shape = (len(graph.entities), settings.dim)
        self.about = json.dumps({"format": FORMAT, "graph": graph.digest, **asdict(settings)}, indent=2)
        self.folder = (cache_dir or default_cache_dir()) / f"graph-{sha256(self.about.encode()).hexdigest()[:32]}"

    def load(self) -> GraphVectors | None:
        """The vectors, None if they are not there or damaged."""
        try:
            paths = [path for path in sorted(self.folder.glob("*.safetensors")) if path.name != STATE]
        except OSError:
            return None
        for path in paths:
            try:
                data = path.read_bytes()
                if sha256(data).hexdigest() == path.stem:
                    found = load(data)
                    vectors = GraphVectors(found["entities"], found["relations"])
                    if vectors.entities.shape == self.shape:
                        return vectors
                why: object = "its content does not fit its name"
            except (OSError, SafetensorError, KeyError) as error:
                why = error
            getLogger().warning(f"Ignored the vectors of a knowledge graph in {path} ({why}); they are trained again.")
        return None

    def save(self, vectors: GraphVectors) -> None:
        """Write the vectors and remove the state of their training."""
        data = save({"entities": vectors.entities, "relations": vectors.relations})
        self._write(f"{sha256(data).hexdigest()}.safetensors", data)
        with contextlib.suppress(OSError):
            (self.folder / STATE).unlink()

    def read_state(self) -> tuple[int, list[float], dict[str, Tensor]] | None:
        """Epochs that are done, their values on the held-out triples, and tensors; None if there is no state."""
        path = self.folder / STATE
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                said = json.loads(file.metadata()["done"])
                return said["epoch"], said["values"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            getLogger().warning(f"Ignored {path}, the state of a stopped training ({error}); it begins anew.")
            return None

    def write_state(self, epoch: int, values: list[float], tensors: Mapping[str, Tensor]) -> None:
        """Keep the state after an epoch, in place of an earlier one."""
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self._write(STATE, save_tensors(copies, {"done": json.dumps({"epoch": epoch, "values": values})}))

    def _write(self, name: str, data: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_folder(self.folder)  # of processes that were killed
            if not (self.folder / "graph.json").is_file():
                write_bytes(self.folder / "graph.json", self.about.encode())
            write_bytes(self.folder / name, data)
        except OSError as error:
            getLogger().warning(
                f"The vectors of the knowledge graph are not kept: {self.folder} cannot be written ({error}). Set "
                "RECBOLE_LI_CACHE to a folder that can be written."
            )
