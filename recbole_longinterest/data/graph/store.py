"""Cache of trained vectors of a knowledge graph, and of the state of an unfinished training.

The folder ``<cache>/graph-<hash of graph and settings>`` holds ``graph.json`` with the settings, the vectors in
``<SHA-256 of the file>.safetensors``, and ``state.safetensors`` while a training is unfinished. A file of vectors that
does not match the hash in its name is damaged.
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

FORMAT = 1  # increase when a change of the code gives other vectors
STATE = "state.safetensors"


@dataclass(frozen=True)
class GraphVectors:
    """Trained vectors.

    Attributes:
        entities: in the order of the graph's entities, float32 [E, D]. ComplEx and RotatE: real, then imaginary parts.
        relations: in the order of the graph's relations, float32 [R, D]; [R, D / 2] for RotatE, whose relations are
            angles.
    """

    entities: NDArray[np.float32]
    relations: NDArray[np.float32]


class GraphStore:
    """Cache folder of one graph with certain settings.

    A file that cannot be read or written causes a warning, not an error: the vectors are trained again.

    Args:
        graph: the graph.
        settings: settings of the training.
        cache_dir: folder of the cache; None for the user's cache folder.
    """

    def __init__(self, graph: KnowledgeGraph, settings: GraphSettings, cache_dir: Path | None = None) -> None:
        self.shape = (len(graph.entities), settings.dim)
        self.about = json.dumps({"format": FORMAT, "graph": graph.digest, **asdict(settings)}, indent=2)
        self.folder = (cache_dir or default_cache_dir()) / f"graph-{sha256(self.about.encode()).hexdigest()[:32]}"

    def load(self) -> GraphVectors | None:
        """Read the vectors; None if they are missing or damaged."""
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
                        self._remove_state()  # left by a process that was killed after it had written the vectors
                        return vectors
                why: object = "its content does not match its name or the graph"
            except (OSError, SafetensorError, KeyError) as error:
                why = error
            getLogger().warning(f"Ignored the vectors of a knowledge graph in {path} ({why}); they are trained again.")
        return None

    def save(self, vectors: GraphVectors) -> None:
        """Write the vectors and delete the state of their training."""
        data = save({"entities": vectors.entities, "relations": vectors.relations})
        self._write(f"{sha256(data).hexdigest()}.safetensors", data)
        self._remove_state()

    def read_state(self) -> tuple[int, list[float], dict[str, Tensor]] | None:
        """Read the finished epochs, their values on held-out triples, and the tensors; None without a state."""
        path = self.folder / STATE
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                said = json.loads(file.metadata()["done"])
                return said["epoch"], said["values"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            getLogger().warning(f"Ignored {path}, the state of an interrupted training ({error}); it starts again.")
            return None

    def write_state(self, epoch: int, values: list[float], tensors: Mapping[str, Tensor]) -> None:
        """Save the state after an epoch; it replaces an earlier one."""
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self._write(STATE, save_tensors(copies, {"done": json.dumps({"epoch": epoch, "values": values})}))

    def _remove_state(self) -> None:
        with contextlib.suppress(OSError):
            (self.folder / STATE).unlink()

    def _write(self, name: str, data: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_folder(self.folder)  # temporary files of killed processes
            if not (self.folder / "graph.json").is_file():
                write_bytes(self.folder / "graph.json", self.about.encode())
            write_bytes(self.folder / name, data)
        except OSError as error:
            getLogger().warning(
                f"The vectors of the knowledge graph are not cached: {self.folder} cannot be written ({error}). Set "
                "RECBOLE_LI_CACHE to a folder that can be written."
            )
