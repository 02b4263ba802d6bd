"""New items: added to the model in memory, saved in the store, and added again after a restart."""

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
    import pandas as pd  # at run time imported only when items are added


@dataclass(frozen=True)
class Grown:
    """A model with added items.

    Attributes:
        model: the model.
        added: the new and changed items.
        batch: record for the store, to add the items again after a restart.
    """

    model: Recommender
    added: Added
    batch: ItemBatch


def grow(model: Recommender, base: str, rows: Sequence[Mapping[str, Any]], boost: float = 1.0) -> Grown:
    """Add items to a model by their texts.

    Args:
        model: the model; it does not change.
        base: fingerprint of the model folder, without items added since.
        rows: one row per item, see :func:`~recbole_longinterest.serving.new_items.with_items`.
        boost: see :func:`~recbole_longinterest.serving.new_items.with_items`.

    Raises:
        LongInterestError: from ``with_items``, and for an engine whose item table is fixed.
    """
    engine = type(model.engine)
    if not engine.can_grow:
        raise LongInterestError(
            f"{engine.__name__} has a fixed item table. Add the items to the folder with recbole-li add-items, and "
            "restart the service."
        )
    frame = _table(rows)
    vectors = vectors_of(model.served, frame)
    added = with_items(model.served, frame, vectors, boost)
    content = json.dumps([dict(row) for row in rows])
    kept = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
    batch = ItemBatch(base, encoder_of(model.served), boost, content, kept, time.time())
    return Grown(Recommender(added.served, engine), added, batch)


def grow_again(model: Recommender, batches: Sequence[ItemBatch]) -> Recommender:
    """Add the stored items to a model again.

    Items known from training keep their trained vectors, unless they were changed after this training.

    Args:
        model: the model of the folder.
        batches: batches of the store, in order.
    """
    served, base, known = model.served, model.fingerprint, set(model.served.items.tokens)
    name = served.fields["item"]
    for (boost, encoder), group in groupby(batches, lambda batch: (batch.boost, batch.encoder)):
        rows: dict[str, tuple[Mapping[str, Any], Any]] = {}  # last row and vector of each item
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
        except LongInterestError as error:  # the model reads no texts, or its encoder differs and is not available
            log("items left out", WARNING, items=len(rows), detail=str(error))
    return model if served is model.served else Recommender(served, type(model.engine))


def encoder_of(served: Served) -> str:
    """Return the identity of a model's text encoder as JSON; vectors of different encoders must not be mixed."""
    about = served.about.get("text") or {}
    return json.dumps({name: about.get(name) for name in sorted(about)}, default=str)


def _table(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd  # late: only needed to add items

    return pd.DataFrame([dict(row) for row in rows])
