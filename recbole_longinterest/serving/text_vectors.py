"""A served model's text encoder, and the whitening of its vectors."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.known_places import is_known
from recbole_longinterest.nn.state_keys import TEXT, item_key
from recbole_longinterest.serving.served import Served
from recbole_longinterest.text.whitening import Whitening

if TYPE_CHECKING:
    from recbole_longinterest.text.encoder import TextEncoder


def has_encoder(served: Served) -> bool:
    """Whether a model reads texts that an encoder made vectors of, and not ready vectors."""
    about = served.about.get("text") or {}
    return item_key(TEXT, "vectors") in served.weights and bool(about.get("text_encoder") and about.get("text_fields"))


def encoder_of(served: Served, named: str | None = None) -> "TextEncoder":
    """The encoder of a model's training; loaded when it first encodes.

    Args:
        served: the model.
        named: the encoder, if it is a folder or a name on the hub that was not named before on this machine.
    """
    from recbole_longinterest.text.encoder import TextEncoder  # late: most processes that serve encode nothing

    about = served.about["text"]
    return TextEncoder(
        named or about["text_encoder"],
        named=named is not None or is_known("text_encoder", about["text_encoder"]),
        pooling=about["text_pooling"],
        max_length=about["text_max_length"],
        prompt=about["text_prompt"],
        precision=about["text_precision"],
    )


def whitened_vectors(served: Served, vectors: ArrayLike, number: int) -> NDArray[np.float32]:
    """Vectors of texts as the model's item source holds them, [n, text_dim].

    Args:
        served: the model.
        vectors: by the encoder, [n, encoder_dim].
        number: of texts, n.

    Raises:
        LongInterestError: for another shape, and numbers that are not finite.
    """
    table = np.asarray(vectors, dtype=np.float32)
    mean, projection = (served.weights[name].numpy() for name in (item_key(TEXT, "mean"), item_key(TEXT, "whitening")))
    if table.shape != (number, len(mean)) or not np.isfinite(table).all():
        raise LongInterestError(
            f"The items' vectors must be {number} rows of {len(mean)} finite numbers, as the encoder of the training "
            f"gives them; got shape {table.shape}."
        )
    return Whitening(mean, projection).transform(table)
