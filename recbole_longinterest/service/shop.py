"""The shop of the service: strategies, rules, availability and the bandit; all state survives a restart."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.feedback import BANDIT
from recbole_longinterest.service.incoming import invalid
from recbole_longinterest.service.problems import NO_STRATEGY, RULES_UNUSABLE, Problem
from recbole_longinterest.service.shop_parts import Prepared, Source, Wish
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.store.records import Job, SetAvailable
from recbole_longinterest.service.store.store import Store
from recbole_longinterest.service.work import LongWork
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.rules import RulesError
from recbole_longinterest.serving.strategies import Answer, Bandit, Shop, strategy_names
from recbole_longinterest.serving.strategies.shop import MIX
from recbole_longinterest.serving.visitor import Visitor

PLAIN = {"interest": "interest", "popular": "popularity"}  # strategy -> basis of an answer without strategies


class ServiceShop:
    """Builds the shop of the active model, and replaces it together with the model.

    With rules the shop is built at once; otherwise when it is first needed, because strategies take memory.

    Args:
        base: model of the folder, to which the index belongs.
        model: the model with added items.
        rules: rules file; None for no rules.
        store: the store, with availability and the bandit's counts.
        work: thread pool in which the shop is changed.
        submit: submits a job to the writer.

    Raises:
        RulesError: for rules that cannot be used.
        LongInterestError: for stored bandit counts that are invalid.

    Attributes:
        bandit: the bandit shared by all shops.
    """

    def __init__(
        self,
        base: Recommender,
        model: Recommender,
        rules: Path | None,
        store: Store,
        work: LongWork,
        submit: "Callable[[Job], asyncio.Future[Any]]",
    ) -> None:
        self._source = Source(base)
        self.rules, self._work, self._submit, self._store = rules, work, submit, store
        kept = store.document(BANDIT)
        self.bandit = Bandit() if kept is None else Bandit.from_json(kept, "The store")
        self._availability = self._prepared_availability = store.availability()  # replaced, never changed
        self._any_out_of_stock = not all(self._availability.values())
        self._build_lock, self._swap_lock, self._availability_lock = threading.Lock(), threading.Lock(), asyncio.Lock()
        self._active: tuple[Recommender, Shop | None] = model, None  # exchanged in one step
        if self.in_use:
            self._current()

    @property
    def in_use(self) -> bool:
        """Whether requests without a strategy use the shop: it has rules, or some items are not in stock."""
        return self.rules is not None or self._any_out_of_stock

    def decides(self, wish: Wish) -> bool:
        """Whether the shop must answer a request."""
        return self.in_use or wish.strategy is not None or wish.where is not None

    # --- answers; these run in threads -------------------------------------------------------------------------------

    def answer(self, visitor_of: Callable[[Recommender], Visitor], wish: Wish) -> tuple[Answer, Visitor, str]:
        """Choose items.

        Args:
            visitor_of: builds the visitor for the shop's model.
            wish: the requested options.

        Returns:
            The answer, the visitor, and the basis: the strategy, or the basis of an answer without strategies.

        Raises:
            Problem: for values that cannot be used.
        """
        shop, where = self._shop_for_request(), wish.condition()
        assert isinstance(shop.scorer, Recommender)
        visitor = visitor_of(shop.scorer)
        strategy, plain = wish.strategy, False
        if strategy is None:
            plain = self.rules is None and wish.where is None
            strategy = self._default_strategy(shop, visitor) if plain else MIX
        self._check(shop, strategy)
        try:
            found = shop.recommend(
                visitor,
                wish.k,
                strategy,
                exclude_seen=wish.exclude_seen,
                exclude=wish.exclude,
                where=where,
                adult=wish.adult,
            )
        except StoreError:
            raise
        except LongInterestError as error:
            raise invalid("where" if isinstance(error, RulesError) else "", str(error)) from error
        return found, visitor, PLAIN[strategy] if plain else strategy

    def like(self, item: str, k: int) -> Answer:
        """Find items similar to an item, subject to the rules."""
        return self._shop_for_request().like([item], k)

    def strategies(self) -> list[tuple[str, str]]:
        """List (strategy, reason why it cannot be used); the reason is "" for usable strategies."""
        return list(self._shop_for_request().available().items())

    def outdated(self) -> bool:
        """Whether the rules file has changed but cannot be used, so that the previous rules are active."""
        if self.rules is None:
            return False
        shop = self._current()
        assert shop.rules is not None and shop.rules_file is not None  # reading rules checks the files for changes
        return shop.rules_file.problem is not None

    def _shop_for_request(self) -> Shop:
        """Return the shop of the active model for a request."""
        try:
            return self._current()
        except LongInterestError as error:  # a broken index, or a missing library
            raise Problem(NO_STRATEGY, str(error)) from error

    def _default_strategy(self, shop: Shop, visitor: Visitor) -> str:
        """Choose the strategy that matches an answer without strategies."""
        return "interest" if visitor.events or shop.available()["popular"] else "popular"

    def _check(self, shop: Shop, strategy: str) -> None:
        if strategy == MIX:
            return
        try:
            shop.strategy(strategy)
        except LongInterestError as error:
            if strategy not in strategy_names():
                known = ", ".join([*strategy_names(), MIX])
                raise invalid("strategy", f"strategy must be one of {known}; got {strategy!r}.") from error
            raise Problem(NO_STRATEGY, str(error)) from error

    # --- stock ----------------------------------------------------------------------------------------------------

    async def set_available(self, items: Mapping[str, bool], now: float) -> list[str]:
        """Set which items are in stock; active and saved when this returns.

        Args:
            items: token -> whether it is in stock.
            now: seconds since 1970.

        Returns:
            Tokens that the model does not know yet; their availability is stored.

        Raises:
            StoreError: if the store fails; nothing has changed.
        """
        # Finishes even if the client disconnects, so that the store and the shop agree.
        return await asyncio.shield(asyncio.ensure_future(self._set_available(dict(items), now)))

    async def _set_available(self, items: dict[str, bool], now: float) -> list[str]:
        async with self._availability_lock:
            await self._submit(SetAvailable(items, now))
            self._availability = {**self._availability, **items}
            self._any_out_of_stock = not all(self._availability.values())
            _, shop = self._active

            def apply() -> None:
                with self._build_lock:
                    if shop is not None:
                        shop.set_available(items)

            await asyncio.get_running_loop().run_in_executor(self._work.threads, apply)
        return [token for token in items if not self._active[0].item_id(token)]

    # --- models ------------------------------------------------------------------------------------------------------

    def prepared(self, base: Recommender, model: Recommender) -> Prepared:
        """Build the shop of another model, to be replaced together with it; runs in a thread.

        Args:
            base: model of the folder.
            model: the model with added items.

        Raises:
            Problem: if a file named in the rules can no longer be used.
            LongInterestError: for a broken index.
        """
        _, shop = self._active
        source = self._source if self._source.base is base else Source(base)
        if shop is None:
            return Prepared(None, source)
        self._prepared_availability = self._availability
        try:
            if source is self._source:
                return Prepared(shop.of_model(model), source)
            made = Shop(model, rules=self.rules, search=source.search(model), bandit=self.bandit)
            made.set_available(self._availability)
        except RulesError as error:
            said = f"Nothing was changed, because the rules cannot be applied to the model: {error}"
            raise Problem(RULES_UNUSABLE, said) from error
        return Prepared(made, source)

    def follow(self, model: Recommender, prepared: Prepared) -> None:
        """Switch to another model, in the event loop.

        Args:
            model: the new model.
            prepared: result of :meth:`prepared`.
        """
        # Availability has changed since.
        if prepared.shop is not None and self._availability is not self._prepared_availability:
            prepared.shop.set_available(self._availability)
        with self._swap_lock:
            self._active, self._source = (model, prepared.shop), prepared.source

    async def refresh(self) -> None:
        """Load changes of availability and bandit by other processes.

        Raises:
            StoreError: if the store cannot be read.
        """
        async with self._availability_lock:
            await asyncio.get_running_loop().run_in_executor(self._work.threads, self._refresh)

    def _refresh(self) -> None:
        said, kept = self._store.availability(), self._store.document(BANDIT)
        self._availability, self._any_out_of_stock = said, not all(said.values())
        with self._build_lock:
            _, shop = self._active
            if shop is not None:
                shop.set_available(said)
        if kept is not None:
            self.bandit.follow(Bandit.from_json(kept, "The store"))

    def _current(self) -> Shop:
        """Return the shop of the active model, and build it if necessary."""
        with self._build_lock:
            while True:
                with self._swap_lock:
                    (model, shop), source = self._active, self._source
                if shop is not None:
                    return shop
                shop = Shop(model, rules=self.rules, search=source.search(model), bandit=self.bandit)
                with self._swap_lock:
                    if self._active[0] is model:
                        self._active = model, shop
                # After publishing the shop, so that no concurrent change is missed.
                shop.set_available(self._availability)
