"""Test recommendations that a new export must pass before it is published."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.nn.finite import NotFiniteError
from recbole_longinterest.serving.engines import Engine, TorchEngine, writer_of
from recbole_longinterest.serving.index import load_index, write_index
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.served import Served

CANARIES = 12
EVENTS = 5
BEST = 10


def write_checked(
    served: Served,
    folder: Path,
    engines: Sequence[type[Engine]] = (),
    sign: str | Path | None = None,
    index: str = "exact",
) -> float | None:
    """Write an export, and check it: read it again and recommend to a dozen users with each of its engines.

    Args:
        served: the model.
        folder: folder to write; an earlier export is replaced.
        engines: engines whose files are added.
        sign: PEM file of a private key that signs the manifest.
        index: kind of the item index, one of :data:`~.index.KINDS`; ``"exact"`` for no index.

    Returns:
        Recall of the ten best items by the index; None without an index.

    Raises:
        ExportError: from :func:`~.model_folder.write_folder` and :meth:`Recommender.load`.
        NotFiniteError: for a model that cannot rank items.
        LongInterestError: for an unknown kind of index, or a missing package.
    """
    recall: list[float | None] = [None]
    write_engines = writer_of(engines, served)

    def write(draft: Path) -> None:
        write_engines(draft)
        if index != "exact":
            recall.append(write_index(Recommender(served), draft, index))

    def check(draft: Path) -> None:
        asked: list[type[Engine]] = [TorchEngine, *engines]
        for engine in dict.fromkeys(asked):
            try:
                model = Recommender.load(draft, engine)
            except MissingPackage:  # can only be checked where the package is installed
                continue
            ask_canaries(model)
            if engine is TorchEngine and index != "exact":
                load_index(model)

    write_folder(served, folder, write, check=check, sign=sign)
    return recall[-1]


def canaries(tokens: Sequence[str]) -> list[list[str]]:
    """Build a dozen histories with items from the whole catalogue.

    Args:
        tokens: item tokens by internal id, padding first.
    """
    n_items = len(tokens) - 1
    firsts = np.linspace(1, n_items, CANARIES).astype(int)
    return [
        [tokens[1 + (first - 1 + step * (1 + number)) % n_items] for step in range(1 + number % EVENTS)]
        for number, first in enumerate(firsts.tolist())
    ]


def ask_canaries(model: Recommender) -> int:
    """Recommend to a dozen test users.

    Returns:
        Number of test users.

    Raises:
        NotFiniteError: if a user gets too few items, or scores that are NaN or infinite.
    """
    if not model.n_items:
        return 0
    due = min(BEST, model.n_items)
    asked = canaries(model.served.items.tokens)
    for history in asked:
        (found,) = model.recommend_many([history], due, exclude_seen=False)
        finite = int(np.isfinite([item.score for item in found.items]).sum())
        if finite < due:
            raise NotFiniteError(
                f"The model cannot rank items: for the history {', '.join(history)} it has {finite} of {due} "
                "items with a finite score. Train again with a lower learning_rate, or take an earlier checkpoint."
            )
    return len(asked)
