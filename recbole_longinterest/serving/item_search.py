"""Search items by words of their titles, or by meaning with the model's text encoder."""

import unicodedata
from collections.abc import Sequence

import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.state_keys import TEXT, item_key
from recbole_longinterest.serving.results import Recommended, check_k
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.served import Served
from recbole_longinterest.serving.text_vectors import encoder_of, has_encoder, whitened_vectors
from recbole_longinterest.serving.unit_vectors import UnitVectors


class TitleSearch:
    """Finds items by titles and tokens, ignoring case and accents.

    Args:
        tokens: item tokens by internal id, padding first.
        titles: item titles by internal id, padding first.
    """

    def __init__(self, tokens: Sequence[str], titles: Sequence[str]) -> None:
        self._titles = [f" {folded(title)} " for title in titles]
        self._ids = {token: item for item, token in enumerate(tokens) if item}

    def find(self, query: str, k: int = 10) -> list[int]:
        """Return internal ids of up to ``k`` items whose titles contain all words of a query, best first.

        An item with this token comes first; then titles that equal the query, that start with it, that contain it at
        the start of a word, and others; shorter titles first.

        Raises:
            LongInterestError: if ``k`` is below 1.
        """
        check_k(k)
        wanted = folded(query)
        words = wanted.split()
        own = self._ids.get(query.strip())
        if not words:
            return [own] if own else []
        longest = max(words, key=len)
        found = []
        for item, title in enumerate(self._titles):
            if item and longest in title and item != own and all(word in title for word in words):
                rank = (title.strip() != wanted) + (not title.startswith(f" {wanted}")) + (f" {wanted}" not in title)
                found.append((rank, len(title), item))
        found.sort()
        return ([own] if own else []) + [item for _, _, item in found[: k - bool(own)]]


def folded(text: str) -> str:
    """Normalise a text: lower case, no accents, words separated by single spaces, other signs as spaces."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    kept = (letter if letter.isalnum() else " " for letter in letters if not unicodedata.combining(letter))
    return " ".join("".join(kept).split())


class MeaningSearch:
    """Semantic search with the model's text encoder, which stays loaded.

    Args:
        served: the model.
        text_encoder: see :func:`~recbole_longinterest.serving.new_items.with_items`.

    Raises:
        LongInterestError: for a model that reads no texts, or was trained with precomputed vectors.
    """

    def __init__(self, served: Served, text_encoder: str | None = None) -> None:
        if not has_encoder(served):
            raise LongInterestError("This model has no text encoder, so items can only be found by title.")
        self._encoder = encoder_of(served, text_encoder)

    def find(self, scorer: Scorer, query: str, k: int = 10) -> list[Recommended]:
        """Find the ``k`` nearest items.

        Args:
            scorer: the model, possibly with added items.
            query: any text.
            k: number of items.

        Returns:
            Best first; the score is the cosine of the whitened text vectors, -1 to 1.

        Raises:
            EncoderError: for an encoder that cannot be loaded.
            LongInterestError: for a ``k`` below 1.
        """
        check_k(k)
        vectors = scorer.served.weights[item_key(TEXT, "vectors")]
        one = torch.from_numpy(whitened_vectors(scorer.served, self._encoder.encode([query]), 1))[0]
        return [scorer.recommended(item, score) for item, score in UnitVectors(vectors).nearest(one, k)]
