"""New items: added to the model in memory, kept in the store, and added again after a restart."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from logging import WARNING
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.store.records import ItemBatch
from recbole_longinterest.serving.new_items import Added, vectors_of, with_items
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.served import Served

if TYPE_CHECKING:
    import pandas as pd  # at run time only where items are added


@dataclass(frozen=True)
class Grown:
    """A model with further items.

    Attributes:
        model: it.
        added: which items are new or changed.
        batch: what the store keeps, to do it again.
    """

    model: Recommender
    added: Added
    batch: ItemBatch


def grow(model: Recommender, base: str, rows: Sequence[Mapping[str, Any]], boost: float = 1.0) -> Grown:
    """Add items to a model by their texts.

    Args:
        model: stays as it is.
        base: fingerprint of the model folder, without items that were added since.
        rows: an item each, see :func:`~recbole_longinterest.serving.new_items.with_items`.
        boost: see there.

    Raises:
        LongInterestError: see there, and for an engine whose table of items is fixed.
    """
    engine = type(model.engine)
    if not engine.can_grow:
        raise LongInterestError(
            f"{engine.__name__} has a fixed table of items. Add the items to the folder with recbole-li add-items, and "
            "serve it again."
        )
    frame = _table(rows)
    vectors = vectors_of(model.served, frame)
    added = with_items(model.served, frame, vectors, boost)
    content = json.dumps([dict(row) for row in rows])
    kept = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
    batch = ItemBatch(base, encoder_of(model.served), boost, content, kept, time.time())
    return Grown(Recommender(added.served, engine), added, batch)


def grow_again(model: Recommender, batches: Sequence[ItemBatch]) -> Recommender:
    """The model with the items that were added before.

    Items that the model knows by its training keep what the training gave them, unless they were changed after it.

    Args:
        model: of the folder.
        batches: of the store, in their order.
    """
    served, base, known = model.served, model.fingerprint, set(model.served.items.tokens)
    name = served.fields["item"]
    for (boost, encoder), group in groupby(batches, lambda batch: (batch.boost, batch.encoder)):
        rows: dict[str, tuple[Mapping[str, Any], Any]] = {}  # the last one of each item
        for batch in group:
            content = json.loads(batch.content)
            vectors = np.frombuffer(batch.vectors, "<f4").reshape(len(content), -1)
            for row, vector in zip(content, vectors, strict=True):
                if batch.model == base or str(row[name]) not in known:
                    rows.pop(str(row[name]), None)
                    rows[str(row[name])] = row, vector
        if not rows:
            continue
        table = _table([row for row, _ in rows.values()])
        ready = np.stack([vector for _, vector in rows.values()]) if encoder == encoder_of(served) else None
        try:
            served = with_items(served, table, ready, boost).served
        except LongInterestError as error:  # the model reads no texts, or has another encoder that is not at hand
            log("items left out", WARNING, items=len(rows), detail=str(error))
    return model if served is model.served else Recommender(served, type(model.engine))


def encoder_of(served: Served) -> str:
    """What makes the vectors of a model's texts, as JSON: vectors of another encoder do not fit."""
    about = served.about.get("text") or {}
    return json.dumps({name: about.get(name) for name in sorted(about)}, default=str)


def _table(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd  # late: a service that adds no items does without it

    return pd.DataFrame([dict(row) for row in rows])
