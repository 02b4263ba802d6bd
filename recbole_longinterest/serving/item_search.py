"""Items by words of their titles, or by what a text means to the model's text encoder."""

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
    """Finds items by their titles and tokens; letters count the same with and without accents and capitals.

    Args:
        tokens: by internal id, the padding first.
        titles: likewise.
    """

    def __init__(self, tokens: Sequence[str], titles: Sequence[str]) -> None:
        self._titles = [f" {folded(title)} " for title in titles]
        self._ids = {token: item for item, token in enumerate(tokens) if item}

    def find(self, query: str, k: int = 10) -> list[int]:
        """Internal ids of up to ``k`` items whose titles hold all words of a query, the best first.

        An item of this token comes first, then titles that are the query, that begin with it, that hold it at the
        beginning of a word, and others; shorter titles first.

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
    """A text in small letters without accents, words apart by one space; signs stand apart from words."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    kept = (letter if letter.isalnum() else " " for letter in letters if not unicodedata.combining(letter))
    return " ".join("".join(kept).split())


class MeaningSearch:
    """Finds items whose texts mean what a query means, by the model's text encoder, which stays loaded.

    Args:
        served: the model.
        text_encoder: as in :func:`~recbole_longinterest.serving.new_items.with_items`.

    Raises:
        LongInterestError: for a model that reads no texts, or was trained with ready vectors.
    """

    def __init__(self, served: Served, text_encoder: str | None = None) -> None:
        if not has_encoder(served):
            raise LongInterestError("This model has no text encoder, so items are found by their titles alone.")
        self._encoder = encoder_of(served, text_encoder)

    def find(self, scorer: Scorer, query: str, k: int = 10) -> list[Recommended]:
        """The ``k`` nearest items.

        Args:
            scorer: the model, which may have further items by now.
            query: any words.
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
