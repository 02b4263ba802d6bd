"""A shop: a model with strategies, rules and an index, which chooses the items to show."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable
from recbole_longinterest.serving.exclusion import ExcludeSeen
from recbole_longinterest.serving.index import VectorSearch, load_index
from recbole_longinterest.serving.results import check_k
from recbole_longinterest.serving.rules import RulesFile, ShopRules
from recbole_longinterest.serving.rules.settings import BANDIT
from recbole_longinterest.serving.rules.shop_rules import no_rules
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.answers import NOTHING, Answer, Suggested
from recbole_longinterest.serving.strategies.bandit import Bandit
from recbole_longinterest.serving.strategies.base import Context, Strategy, Terms
from recbole_longinterest.serving.strategies.made import MadeStrategies
from recbole_longinterest.serving.strategies.memory import followers_of, terms_of
from recbole_longinterest.serving.strategies.mix import places_by_share, rule_for
from recbole_longinterest.serving.strategies.registry import strategy_names
from recbole_longinterest.serving.strategies.transitions import Followers
from recbole_longinterest.serving.visitor import Visitor

MIX = "mix"
LAST_RESORTS = ("interest", "popular")  # fill places that the mix cannot fill


@dataclass
class _Request:
    """Data of one request."""

    visitor: Visitor
    rules: ShopRules
    rng: np.random.Generator
    offered: dict[str, Any] = field(default_factory=dict)


class Shop:
    """Recommends to visitors by strategies, under rules.

    Args:
        scorer: the model.
        rules: a rules file, which is reloaded when it changes, or rules that were already read; None for no rules.
        search: vector search of the model's items; None to score every item.
        followers: table of which items follow which; None for the model's memory, without which ``together`` is not
            available.
        terms: additional score terms; None for those of the model's memory.
        bandit: bandit that learns from feedback; None for a new one.
        seed: random seed; None for a random one.

    Raises:
        RulesError: for rules that cannot be used.

    Example:
        >>> shop = Shop.load(Recommender.load("exported"), rules="shop.yaml")
        >>> answer = shop.recommend(Visitor.of_history(shop.scorer, shop.scorer.reader.read(["50"])), k=10)
        >>> shop.feedback(answer.segment, shown=answer.brought_by, clicked={"similar": 1})
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        rules: str | Path | RulesFile | ShopRules | None = None,
        search: VectorSearch | None = None,
        followers: Followers | None = None,
        terms: Terms | None = None,
        bandit: Bandit | None = None,
        seed: int | None = None,
    ) -> None:
        self.scorer = scorer
        self.search = search if search is not None else VectorSearch(scorer)
        self.bandit = bandit if bandit is not None else Bandit(seed)
        counted = followers if followers is not None else followers_of(scorer)
        context = Context(scorer, self.search, counted, terms if terms is not None else terms_of(scorer))
        self._made = MadeStrategies(context)
        self._rng, self._lock = np.random.default_rng(seed), threading.Lock()
        self._own = threading.local()  # one generator per thread, because generators are not thread-safe
        if isinstance(rules, (str, Path)):
            rules = RulesFile(rules, scorer, strategy_names())
        self.rules_file = rules if isinstance(rules, RulesFile) else None
        self._fixed = rules if isinstance(rules, ShopRules) else no_rules(scorer)
        self._warn_of_missing()

    @classmethod
    def load(cls, scorer: Scorer, **more: Any) -> "Shop":
        """Create a shop that uses the index of the model's export, if it has one.

        Args:
            scorer: a model from a folder.
            more: further arguments of the class.

        Raises:
            ExportError: for an index that is broken or belongs to another model.
        """
        return cls(scorer, search=VectorSearch(scorer, load_index(scorer)), **more)

    def of_model(self, scorer: Scorer) -> "Shop":
        """Return this shop for its model with added items: same rules, index, availability and bandit.

        Raises:
            RulesError: if a file named in the rules can no longer be used.
        """
        rules = self._fixed.again(scorer) if self.rules_file is None else self.rules_file.of_model(scorer)
        return Shop(scorer, rules=rules, search=self.search.of_model(scorer), bandit=self.bandit)

    @property
    def rules(self) -> ShopRules:
        """The active rules."""
        if self.rules_file is not None:
            return self.rules_file.current()
        if not self._fixed.is_current:  # items were added
            self._fixed = self._fixed.again()
        return self._fixed

    def strategy(self, name: str) -> Strategy:
        """Return a strategy of this model.

        Raises:
            LongInterestError: for an unknown name, or a strategy that cannot be used.
        """
        return self._made.get(name)

    def available(self) -> dict[str, str]:
        """Return for each strategy the reason why it cannot be used; "" for usable strategies."""
        return self._made.available()

    def recommend(
        self,
        visitor: Visitor,
        k: int = 10,
        strategy: str = MIX,
        *,
        exclude_seen: ExcludeSeen = True,
        exclude: Iterable[str | int] = (),
        where: Mapping[str, object] | None = None,
        adult: bool = False,
        seed: int | None = None,
    ) -> Answer:
        """Choose items.

        Args:
            visitor: the visitor.
            k: number of items.
            strategy: one strategy for all places, or ``"mix"`` for the rules' mix.
            exclude_seen: see :meth:`Recommender.recommend`; used for rules without ``exclude``.
            exclude: tokens of items to hide.
            where: a condition in addition to the rules, such as ``{"category": ["Books"]}``.
            adult: whether items that match the rules' ``adult`` condition may be shown.
            seed: random seed of this answer.

        Returns:
            The items, each with the strategy that chose it, and the segment of the visitor, for :meth:`feedback`.

        Raises:
            LongInterestError: for a ``k`` below 1, a strategy that is unknown or cannot be used, or an invalid
                condition.
        """
        check_k(k)
        request = _Request(visitor, self.rules, self._draws(seed))
        admission = request.rules.admission(
            visitor, exclude_seen=exclude_seen, exclude=self.scorer.excluded_ids(exclude), where=where, adult=adult
        )
        selection = request.rules.selection(int(k))
        if strategy == MIX:
            names, rest = self._mixed(request, int(k))
        else:
            self.strategy(strategy)
            names, rest = [strategy] * int(k), []
        chosen: list[Suggested] = []

        def take(name: str) -> bool:
            if name not in request.offered:
                ranking = self.strategy(name).ranking(request.visitor, request.rng)
                request.offered[name] = None if ranking is None else selection.candidates(ranking, admission)
            found = request.offered[name] and request.offered[name].take()
            if not found:
                request.offered[name] = None
                return False
            item, score = found
            items = self.scorer.served.items
            chosen.append(Suggested(items.tokens[item], items.titles[item], score, name))
            return True

        for name in names:
            for other in dict.fromkeys([name, *rest]):  # if a strategy has no more items, the next one fills the place
                if take(other):
                    break
        return Answer(chosen, visitor.segment, None if chosen else NOTHING)

    def like(
        self,
        items: Sequence[str | int],
        k: int = 10,
        strategy: str = "similar",
        *,
        where: Mapping[str, object] | None = None,
        adult: bool = False,
    ) -> Answer:
        """Find items that are similar to some items, or follow them; the items themselves are excluded.

        Args:
            items: tokens, highest weight first.
            k: number of items.
            strategy: a strategy that uses the last items: ``similar``, ``content``, ``together``.
            where: see :meth:`recommend`.
            adult: see :meth:`recommend`.

        Returns:
            The items, best first.

        Raises:
            LongInterestError: as :meth:`recommend`, and if no item is known.
        """
        known = [str(item) for item in items if self.scorer.item_id(item)]
        if not known:
            raise LongInterestError(f"The model knows none of the {len(items)} items.")
        history = self.scorer.reader.read(known[::-1])
        visitor = Visitor.with_interest(history, None, float("nan"))
        rules = self.rules
        seen = visitor.seen
        admission = rules.admission(visitor, exclude_seen="none", exclude=seen, where=where, adult=adult)
        ranking = self.strategy(strategy).ranking(visitor, self._draws(None))
        check_k(k)
        selection = rules.selection(int(k))
        offered = None if ranking is None else selection.candidates(ranking, admission)
        found = []
        while offered is not None and not selection.full and (pair := offered.take()) is not None:
            item, score = pair
            names = self.scorer.served.items
            found.append(Suggested(names.tokens[item], names.titles[item], score, strategy))
        return Answer(found, visitor.segment, None if found else NOTHING)

    def set_available(self, availability: Mapping[str, bool]) -> list[str]:
        """Set which items are in stock.

        Args:
            availability: token -> whether it is in stock.

        Returns:
            Unknown tokens.
        """
        (self.rules_file or self.rules).set_available(availability)
        return [token for token in availability if not self.scorer.item_id(token)]

    def feedback(
        self, segment: str, shown: Mapping[str, int] | None = None, clicked: Mapping[str, int] | None = None
    ) -> None:
        """Give the bandit feedback on an answer.

        Args:
            segment: segment of the answer.
            shown: number of shown items by strategy.
            clicked: number of clicked items by strategy.
        """
        shown, clicked = shown or {}, clicked or {}
        for name in dict.fromkeys([*shown, *clicked]):
            self.bandit.feedback(segment, name, shown.get(name, 0), clicked.get(name, 0))

    # --- parts of an answer ------------------------------------------------------------------------------------------

    def _draws(self, seed: int | None) -> np.random.Generator:
        """Return the random generator of one answer."""
        if seed is not None:
            return np.random.default_rng(seed)
        if not hasattr(self._own, "rng"):
            with self._lock:
                self._own.rng = np.random.default_rng(int(self._rng.integers(2**63)))
        return self._own.rng

    def _mixed(self, request: _Request, number: int) -> tuple[list[str], list[str]]:
        """Choose a strategy for each place, and the strategies that fill places if it has no more items."""
        able = self._able
        rule = rule_for(request.visitor.events, request.rules.settings.mix)
        shares, arms = ({}, ()) if rule is None else (rule.shares, rule.arms)
        arms = tuple(name for name in arms if able.get(name) == "")
        shares = {name: share for name, share in shares.items() if able.get(name) == "" or (name == BANDIT and arms)}
        rest = list(dict.fromkeys([*(name for name in shares if name not in (BANDIT, "new")), *arms]))
        rest += [name for name in LAST_RESORTS if able.get(name) == "" and name not in rest]
        if not any(shares.values()):
            return rest[:1] * number, rest
        names = places_by_share(shares, number, request.rng)
        segment = request.visitor.segment
        return [self.bandit.choose(segment, arms) if name == BANDIT else name for name in names], rest

    def _warn_of_missing(self) -> None:
        able = self._able = self.available()  # cached, because looking up entry points takes milliseconds
        named = {name for rule in self.rules.settings.mix for name in (*rule.shares, *rule.arms)} - {BANDIT}
        for name in sorted(named):
            if able.get(name):
                getLogger().warning(printable(f"The mix leaves {name} out: {able[name]}"))
