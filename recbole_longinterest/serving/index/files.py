"""The index files of an exported folder, and the check that they belong to its model."""

from pathlib import Path

import numpy as np
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.json_text import JsonError, parse_json
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.manifest import AGAIN, ExportError
from recbole_longinterest.serving.scorer import Scorer, top_k
from recbole_longinterest.serving.served import Served

FILE, ABOUT = "index.faiss", "index.json"
FORMAT, VERSION = "recbole-longinterest index", 1
CANARIES, BEST, FEWEST = 8, 10, 0.8  # queries, best items of each, and the share that the index must find


def index_kind(folder: Path) -> str:
    """Return the kind of an exported folder's index; ``"exact"`` without an index."""
    if not (folder / ABOUT).is_file():
        return "exact"
    try:
        return str(parse_json((folder / ABOUT).read_bytes())["kind"])
    except (JsonError, KeyError, TypeError) as error:
        raise ExportError(f"{folder / ABOUT} is broken: {error}. {AGAIN}") from error


def has_index(served: Served) -> bool:
    """Whether a model was exported with an index."""
    return served.manifest is not None and FILE in served.manifest.files


def load_index(scorer: Scorer) -> FaissIndex | None:
    """Load the index of a model; check it by the manifest and against the exact scores of some queries.

    Args:
        scorer: a model from a folder.

    Returns:
        The index; None if the export has no index.

    Raises:
        MissingPackage: without faiss.
        ExportError: for files that are broken or belong to another model.
    """
    served = scorer.served
    if not has_index(served):
        return None
    where = f"{FILE} in {served.folder}"
    try:
        about = parse_json(served.content(ABOUT))
        if about["format"] != FORMAT or about["version"] != VERSION:
            raise JsonError(f"format {about['format']!r}, version {about['version']!r}")
        effort = {int(number): int(value) for number, value in about["effort"].items()}
        index = FaissIndex.from_bytes(about["kind"], served.content(FILE), effort)
    except (JsonError, AttributeError, KeyError, TypeError) as error:
        raise ExportError(f"{ABOUT} in {served.folder} is broken: {error}. {AGAIN}") from error
    except ExportError:
        raise
    except LongInterestError as error:
        if isinstance(error, ImportError):
            raise
        raise ExportError(f"{where} is broken: {error}. {AGAIN}") from error
    check_index(scorer, index, where)
    return index


@torch.no_grad()
def check_index(scorer: Scorer, index: FaissIndex, where: str) -> None:
    """Compare an index with the exact scores of a few queries.

    Raises:
        ExportError: if the number of items or dimensions differs, or the index finds other items.
    """
    shape, wanted_shape = (index.n_items, index.dim), (scorer.n_items, scorer.items.shape[1])
    if shape != wanted_shape:
        raise ExportError(
            f"{where} belongs to another model: items and dimensions {shape}, not {wanted_shape}. {AGAIN}"
        )
    ids = np.linspace(1, scorer.n_items, min(CANARIES, scorer.n_items)).astype(np.int64)
    queries, vectors = scorer.network.comparable(scorer.items[ids], scorer.items)
    best = min(BEST, scorer.n_items)
    scores = queries @ vectors.T
    scores[:, 0] = -torch.inf
    wanted = top_k(scores, best)[1].numpy()
    pairs = zip(wanted, queries.numpy(), strict=True)
    found = float(
        np.mean([np.isin(row, index.find(query, 4 * best, index.effort_for(best))).mean() for row, query in pairs])
    )
    if found < FEWEST:
        raise ExportError(
            f"{where} belongs to another model: for {len(ids)} queries it finds {found:.0%} of the best items. {AGAIN}"
        )
