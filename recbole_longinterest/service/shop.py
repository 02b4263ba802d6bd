"""The shop of the service: strategies under rules, what is in stock, and what clicks teach; all kept over a restart."""

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

PLAIN = {"interest": "interest", "popular": "popularity"}  # what an answer without strategies calls them


class ServiceShop:
    """Makes the shop of the model in force, and exchanges it with the model.

    With rules it is made at once; without, when it is first needed, because strategies take memory.

    Args:
        base: the model of the folder, to which its index belongs.
        model: the same with the items that were added.
        rules: file of rules; None for none.
        store: with availability and the bandit's counts.
        work: its threads change the shop.
        submit: writes a job.

    Raises:
        RulesError: for rules that cannot be used.
        LongInterestError: for counts of a bandit that were changed.

    Attributes:
        bandit: that all shops use.
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
        self.bandit = Bandit() if kept is None else Bandit.from_json(kept, "What the store has of the bandit")
        self._said = self._prepared_with = store.availability()  # replaced, never changed
        self._gone = not all(self._said.values())
        self._making, self._exchanging, self._saying = threading.Lock(), threading.Lock(), asyncio.Lock()
        self._held: tuple[Recommender, Shop | None] = model, None  # exchanged in one step
        if self.in_use:
            self._current()

    @property
    def in_use(self) -> bool:
        """Whether answers depend on it that ask for no strategy."""
        return self.rules is not None or self._gone

    def decides(self, wish: Wish) -> bool:
        """Whether it is to answer a request."""
        return self.in_use or wish.strategy is not None or wish.where is not None

    # --- answers; these run in threads -------------------------------------------------------------------------------

    def answer(self, visitor_of: Callable[[Recommender], Visitor], wish: Wish) -> tuple[Answer, Visitor, str]:
        """Choose items.

        Args:
            visitor_of: makes the visitor of the shop's model.
            wish: of the request.

        Returns:
            The answer, the visitor, and what it is based on: the strategy, or what an answer without strategies says.

        Raises:
            Problem: for values that cannot be used.
        """
        shop, where = self._asked(), wish.condition()
        assert isinstance(shop.scorer, Recommender)
        visitor = visitor_of(shop.scorer)
        strategy, plain = wish.strategy, False
        if strategy is None:
            plain = self.rules is None and wish.where is None
            strategy = self._plain(shop, visitor) if plain else MIX
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
        """Items like an item, under the rules."""
        return self._asked().like([item], k)

    def strategies(self) -> list[tuple[str, str]]:
        """Names of the strategies, each with why it cannot be used, or ""."""
        return list(self._asked().available().items())

    def outdated(self) -> bool:
        """Whether the file of rules has changed and cannot be used, so that those of before are in force."""
        if self.rules is None:
            return False
        shop = self._current()
        assert shop.rules is not None and shop.rules_file is not None  # looks at the files
        return shop.rules_file.problem is not None

    def _asked(self) -> Shop:
        """The shop of the model in force, for a request."""
        try:
            return self._current()
        except LongInterestError as error:  # an index that is broken, or whose library is missing
            raise Problem(NO_STRATEGY, str(error)) from error

    def _plain(self, shop: Shop, visitor: Visitor) -> str:
        """The strategy that gives what an answer without strategies has."""
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
        """Say which items are in stock; it holds when this returns, and after a restart.

        Args:
            items: by token.
            now: seconds since 1970.

        Returns:
            Tokens that the model does not know; they count once it does.

        Raises:
            StoreError: if the store fails; nothing has changed.
        """
        # To its end, also where the client has gone: the store and the rules say the same.
        return await asyncio.shield(asyncio.ensure_future(self._set_available(dict(items), now)))

    async def _set_available(self, items: dict[str, bool], now: float) -> list[str]:
        async with self._saying:
            await self._submit(SetAvailable(items, now))
            self._said = {**self._said, **items}
            self._gone = not all(self._said.values())
            _, shop = self._held

            def apply() -> None:
                with self._making:
                    if shop is not None:
                        shop.set_available(items)

            await asyncio.get_running_loop().run_in_executor(self._work.threads, apply)
        return [token for token in items if not self._held[0].item_id(token)]

    # --- models ------------------------------------------------------------------------------------------------------

    def prepared(self, base: Recommender, model: Recommender) -> Prepared:
        """The shop of another model, to be exchanged with it; runs in a thread.

        Args:
            base: the model of its folder.
            model: the same with the items that were added.

        Raises:
            Problem: if a file that the rules name cannot be used any more.
            LongInterestError: for an index that is broken.
        """
        _, shop = self._held
        source = self._source if self._source.base is base else Source(base)
        if shop is None:
            return Prepared(None, source)
        self._prepared_with = self._said
        try:
            if source is self._source:
                return Prepared(shop.of_model(model), source)
            made = Shop(model, rules=self.rules, search=source.search(model), bandit=self.bandit)
            made.set_available(self._said)
        except RulesError as error:
            said = f"Nothing was changed, because the rules cannot be applied to it: {error}"
            raise Problem(RULES_UNUSABLE, said) from error
        return Prepared(made, source)

    def follow(self, model: Recommender, prepared: Prepared) -> None:
        """Go on with another model, in the event loop.

        Args:
            model: the new one.
            prepared: of :meth:`prepared`.
        """
        if prepared.shop is not None and self._said is not self._prepared_with:  # something was said since
            prepared.shop.set_available(self._said)
        with self._exchanging:
            self._held, self._source = (model, prepared.shop), prepared.source

    async def refresh(self) -> None:
        """Take over what other processes were told of stock and clicks.

        Raises:
            StoreError: if the store cannot be read.
        """
        async with self._saying:
            await asyncio.get_running_loop().run_in_executor(self._work.threads, self._refresh)

    def _refresh(self) -> None:
        said, kept = self._store.availability(), self._store.document(BANDIT)
        self._said, self._gone = said, not all(said.values())
        with self._making:
            _, shop = self._held
            if shop is not None:
                shop.set_available(said)
        if kept is not None:
            self.bandit.follow(Bandit.from_json(kept, "What the store has of the bandit"))

    def _current(self) -> Shop:
        """The shop of the model in force, made if it is missing."""
        with self._making:
            while True:
                with self._exchanging:
                    (model, shop), source = self._held, self._source
                if shop is not None:
                    return shop
                shop = Shop(model, rules=self.rules, search=source.search(model), bandit=self.bandit)
                with self._exchanging:
                    if self._held[0] is model:
                        self._held = model, shop
                shop.set_available(self._said)  # after it can be found, so that nothing that is said now is missed
