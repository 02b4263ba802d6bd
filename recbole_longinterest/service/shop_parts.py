"""Parts of the service's shop: what a request asks for, and what is exchanged with a model."""

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
    """What a request asks for.

    Attributes:
        k: number of items.
        exclude_seen: as in :meth:`Recommender.recommend`, like the following.
        exclude: tokens.
        strategy: a name or ``mix``; None for what the service does by itself.
        adult: whether items that meet the rules' ``adult`` may be shown.
        where: a condition beside the rules.
        candidates: tokens of the only items; None for all.
    """

    k: int = 10
    exclude_seen: str = "target"
    exclude: Sequence[str] = ()
    strategy: str | None = None
    adult: bool = False
    where: Mapping[str, Any] | None = None
    candidates: Sequence[str] | None = None

    def condition(self) -> Mapping[str, Any] | None:
        """The condition of the request, with its candidates.

        Raises:
            Problem: for both candidates and a condition on items.
        """
        if self.candidates is None:
            return self.where
        if self.where is not None and "item" in self.where:
            raise invalid("candidates", "A request has candidates or a condition on item, not both.")
        return {**(self.where or {}), "item": list(self.candidates)}


class Source:
    """Where the search of a model's items comes from: its folder's index, which is loaded once.

    Args:
        base: the model of the folder, to which the index belongs.
    """

    def __init__(self, base: Recommender) -> None:
        self.base, self._search = base, None if has_index(base.served) else VectorSearch(base)

    def search(self, model: Recommender) -> VectorSearch:
        """For the model with the items that were added.

        Raises:
            LongInterestError: for an index that is broken, or whose library is missing.
        """
        if self._search is None:
            self._search = VectorSearch(self.base, load_index(self.base))
        return self._search.of_model(model)


@dataclass(frozen=True)
class Prepared:
    """What is exchanged with a model.

    Attributes:
        shop: None if it is made when it is needed.
        source: of the search.
    """

    shop: Shop | None
    source: Source
