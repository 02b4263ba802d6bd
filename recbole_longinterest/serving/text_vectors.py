"""The text encoder of a served model, and the whitening of its vectors."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.known_places import is_known
from recbole_longinterest.nn.state_keys import TEXT, item_key, tuned_in
from recbole_longinterest.serving.served import Served
from recbole_longinterest.text.whitening import Whitening

if TYPE_CHECKING:
    from recbole_longinterest.text.encoder import TextEncoder


def has_encoder(served: Served) -> bool:
    """Whether a model reads texts through an encoder, not precomputed vectors."""
    about = served.about.get("text") or {}
    return item_key(TEXT, "vectors") in served.weights and bool(about.get("text_encoder") and about.get("text_fields"))


def encoder_of(served: Served, named: str | None = None) -> "TextEncoder":
    """Return the encoder of a model's training, tuned as there; it is loaded when first used.

    Args:
        served: the model.
        named: the encoder, a folder or a name on the hub; required if it was never named on this machine.
    """
    from recbole_longinterest.text.encoder import TextEncoder  # late: most serving processes do not encode texts

    about = served.about["text"]
    return TextEncoder(
        named or about["text_encoder"],
        named=named is not None or is_known("text_encoder", about["text_encoder"]),
        pooling=about["text_pooling"],
        max_length=about["text_max_length"],
        prompt=about["text_prompt"],
        precision=about["text_precision"],
        chunks=about.get("text_chunks"),  # exports of before have none
        updates=tuned_in(served.weights),
    )


def whitened_vectors(served: Served, vectors: ArrayLike, number: int) -> NDArray[np.float32]:
    """Whiten text vectors as in the model's item source, [n, text_dim].

    Args:
        served: the model.
        vectors: vectors from the encoder, [n, encoder_dim].
        number: number of texts, n.

    Raises:
        LongInterestError: for another shape, or numbers that are not finite.
    """
    table = np.asarray(vectors, dtype=np.float32)
    mean, projection = (served.weights[name].numpy() for name in (item_key(TEXT, "mean"), item_key(TEXT, "whitening")))
    if table.shape != (number, len(mean)) or not np.isfinite(table).all():
        raise LongInterestError(
            f"The items' vectors must be {number} rows of {len(mean)} finite numbers, from the training's encoder; "
            f"got shape {table.shape}."
        )
    return Whitening(mean, projection).transform(table)
