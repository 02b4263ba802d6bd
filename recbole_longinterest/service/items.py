"""The items of the service: similar items, search, and new items added at run time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.service.answers import items_of
from recbole_longinterest.service.catalogue import Grown, grow, grow_again
from recbole_longinterest.service.incoming import invalid
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.problems import NO_ENCODER, UNKNOWN_ITEM, Problem
from recbole_longinterest.service.store.records import ItemBatch
from recbole_longinterest.service.work import LongWork
from recbole_longinterest.serving.item_search import MeaningSearch, TitleSearch
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.results import Recommended
from recbole_longinterest.serving.similar import similar_items
from recbole_longinterest.text.folder import EncoderError

Prepared = TypeVar("Prepared")


@dataclass(frozen=True)
class Catalogue:
    """A model and its title search, which are replaced together.

    Attributes:
        model: the served model.
        titles: title search of its items.
    """

    model: Recommender
    titles: TitleSearch

    @classmethod
    def of(cls, model: Recommender) -> "Catalogue":
        """Build the catalogue of a model; computes the fingerprint now, because it is slow."""
        assert model.fingerprint
        return cls(model, TitleSearch(model.served.items.tokens, model.served.items.titles))


class Items(Generic[Prepared]):
    """The items of a service.

    Args:
        model: model of an exported folder.
        batches: returns the items added earlier.
        work: thread pool for slow work.
        keep: stores a batch of new items; the future completes after the commit.
        prepare: builds, in a thread, what is replaced together with the model; called with the folder's model and the
            model with added items.
        follow: called with the new model, whether it differs from the previous one only by new items, and the result of
            ``prepare``.
    """

    def __init__(
        self,
        model: Recommender,
        batches: Callable[[], Sequence[ItemBatch]],
        work: LongWork,
        keep: "Callable[[ItemBatch], asyncio.Future[Any]]",
        prepare: Callable[[Recommender, Recommender], Prepared],
        follow: Callable[[Recommender, bool, Prepared], None],
    ) -> None:
        self._base = model
        self._catalogue = Catalogue.of(grow_again(model, batches()))
        self._batches, self._work, self._keep, self._prepare, self._follow = batches, work, keep, prepare, follow
        self._meaning: MeaningSearch | None = None
        self._adding = asyncio.Lock()

    @property
    def base(self) -> Recommender:
        """The model of the folder."""
        return self._base

    @property
    def model(self) -> Recommender:
        """The model with added items."""
        return self._catalogue.model

    def number(self, token: str) -> int:
        """Return the internal id of an item.

        Raises:
            Problem: for an unknown item.
        """
        number = self.model.item_id(token)
        if not number:
            raise Problem(UNKNOWN_ITEM, f"The model has no item {token!r}.")
        return number

    async def similar(self, item: str, k: int = 10) -> schemas.Items:
        """Find items similar to an item.

        Raises:
            Problem: for an unknown item.
        """
        return items_of(similar_items(self.model, self.number(item), k))

    async def search(self, query: str, k: int = 10, by: str = "title") -> schemas.Items:
        """Find items.

        Args:
            query: search words.
            k: number of items.
            by: ``"title"``, or ``"text"`` for semantic search with the model's text encoder.

        Raises:
            Problem: if the encoder is not available.
        """
        catalogue = self._catalogue
        if by == "title":
            found = await self._work.do(lambda: catalogue.titles.find(query, k))
            return items_of([catalogue.model.recommended(item, 1.0 / place) for place, item in enumerate(found, 1)])
        return items_of(await self._work.do(lambda: self._by_meaning(catalogue.model, query, k)))

    async def add(self, rows: Sequence[dict[str, Any]], boost: float = 1.0) -> schemas.Added:
        """Add items by their texts; they can be recommended when this returns, and after a restart.

        Raises:
            Problem: for items that cannot be added, or if the encoder is not available.
            StoreError: if the store fails; no item is added.
        """
        # Finishes even if the client disconnects, so that the store and the model have the same items.
        return await asyncio.shield(asyncio.ensure_future(self._add(rows, boost)))

    async def _add(self, rows: Sequence[dict[str, Any]], boost: float) -> schemas.Added:
        async with self._adding:
            model, base = self.model, self._base

            def made() -> tuple[Grown, Catalogue, Prepared]:
                grown = _grown(model, base.fingerprint, rows, boost)
                return grown, Catalogue.of(grown.model), self._prepare(base, grown.model)

            grown, catalogue, prepared = await self._work.do(made)
            await self._keep(grown.batch)
            self._catalogue = catalogue
            self._follow(catalogue.model, not grown.added.changed, prepared)
        log("items added", new=len(grown.added.new), changed=len(grown.added.changed))
        return schemas.Added(new=grown.added.new, changed=grown.added.changed, model=catalogue.model.fingerprint)

    async def follow(
        self, base: Recommender | None = None, agreed: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Switch to another model, or load items added by another process; requests are answered meanwhile.

        Args:
            base: model of another folder; None for the active one.
            agreed: awaited when everything is ready; if it raises an error, the model is not replaced.

        Raises:
            Problem: if the rules cannot be applied to the model. After any error the active model stays.
            LongInterestError: if the parts of the model cannot be built.
        """
        await asyncio.shield(asyncio.ensure_future(self._exchange(base, agreed)))

    async def _exchange(self, given: Recommender | None, agreed: Callable[[], Awaitable[None]] | None) -> None:
        async with self._adding:
            base = self._base if given is None else given

            def made() -> tuple[Catalogue, Prepared]:
                catalogue = Catalogue.of(grow_again(base, self._batches()))
                return catalogue, self._prepare(base, catalogue.model)

            catalogue, prepared = await asyncio.get_running_loop().run_in_executor(self._work.threads, made)
            if agreed is not None:
                await agreed()
            self._base, self._catalogue, self._meaning = base, catalogue, None
            # Known items may have different texts now, so states are always rebuilt.
            self._follow(catalogue.model, False, prepared)

    def _by_meaning(self, model: Recommender, query: str, k: int) -> list[Recommended]:
        try:
            if self._meaning is None:
                self._meaning = MeaningSearch(model.served)
            return self._meaning.find(model, query, k)
        except LongInterestError as error:
            raise Problem(NO_ENCODER, str(error)) from error


def _grown(model: Recommender, base: str, rows: Sequence[dict[str, Any]], boost: float) -> Grown:
    try:
        return grow(model, base, rows, boost)
    except (EncoderError, MissingPackage) as error:
        raise Problem(NO_ENCODER, str(error)) from error
    except LongInterestError as error:
        raise invalid("items", str(error)) from error
