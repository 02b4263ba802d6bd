"""Parts of the service's shop: options of a request, and objects that are replaced together with a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recbole_longinterest.service.incoming import invalid
from recbole_longinterest.serving.index import VectorSearch, load_index
from recbole_longinterest.serving.index.files import has_index
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.strategies import Shop


@dataclass(frozen=True)
class Wish:
    """The requested options of a recommendation.

    Attributes:
        k: number of items.
        exclude_seen: see :meth:`Recommender.recommend`.
        exclude: tokens to leave out.
        strategy: name of a strategy or ``mix``; None for the service's default.
        adult: whether items that match the rules' ``adult`` condition may be shown.
        where: a condition in addition to the rules.
        candidates: tokens of the only allowed items; None for all.
    """

    k: int = 10
    exclude_seen: str = "target"
    exclude: Sequence[str] = ()
    strategy: str | None = None
    adult: bool = False
    where: Mapping[str, Any] | None = None
    candidates: Sequence[str] | None = None

    def condition(self) -> Mapping[str, Any] | None:
        """Return the condition of the request, including its candidates.

        Raises:
            Problem: if the request has both candidates and a condition on ``item``.
        """
        if self.candidates is None:
            return self.where
        if self.where is not None and "item" in self.where:
            raise invalid("candidates", "A request may have candidates or a condition on item, not both.")
        return {**(self.where or {}), "item": list(self.candidates)}


class Source:
    """Provides the vector search of a model's items; loads the folder's index once.

    Args:
        base: model of the folder, to which the index belongs.
    """

    def __init__(self, base: Recommender) -> None:
        self.base, self._search = base, None if has_index(base.served) else VectorSearch(base)

    def search(self, model: Recommender) -> VectorSearch:
        """Return the search for a model with added items.

        Raises:
            LongInterestError: for a broken index, or if its library is missing.
        """
        if self._search is None:
            self._search = VectorSearch(self.base, load_index(self.base))
        return self._search.of_model(model)


@dataclass(frozen=True)
class Prepared:
    """Objects that are replaced together with a model.

    Attributes:
        shop: the shop; None if it is built later, when needed.
        source: source of the vector search.
    """

    shop: Shop | None
    source: Source
