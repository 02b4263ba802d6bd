"""A model with strategies, rules and an index: what a service asks for the items to show."""

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
LAST_RESORTS = ("interest", "popular")  # fill the places that a mix cannot


@dataclass
class _Request:
    """What is fixed for one answer."""

    visitor: Visitor
    rules: ShopRules
    rng: np.random.Generator
    offered: dict[str, Any] = field(default_factory=dict)


class Shop:
    """Recommends to visitors by strategies, under rules.

    Args:
        scorer: the model.
        rules: a file of rules, which is read again when it changes, or rules that were read; None for none.
        search: of the model's items; None scores every item.
        followers: which items follow which; None for the model's memory, without which ``together`` is left out.
        terms: further terms of the model's scores; None for those of its memory.
        bandit: that learns from feedback; a new one if None.
        seed: of all draws; None for one from the system.

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
        self._own = threading.local()  # a generator for each thread: one is not to be shared
        if isinstance(rules, (str, Path)):
            rules = RulesFile(rules, scorer, strategy_names())
        self.rules_file = rules if isinstance(rules, RulesFile) else None
        self._fixed = rules if isinstance(rules, ShopRules) else no_rules(scorer)
        self._warn_of_missing()

    @classmethod
    def load(cls, scorer: Scorer, **more: Any) -> "Shop":
        """A shop that searches through the index of the model's export, if it has one.

        Args:
            scorer: a model from a folder.
            more: further arguments of the class.

        Raises:
            ExportError: for an index that is broken or of another model.
        """
        return cls(scorer, search=VectorSearch(scorer, load_index(scorer)), **more)

    def of_model(self, scorer: Scorer) -> "Shop":
        """This shop for its model with further items: the same rules, index, availability and bandit.

        Raises:
            RulesError: if a file that the rules name cannot be used any more.
        """
        rules = self._fixed.again(scorer) if self.rules_file is None else self.rules_file.of_model(scorer)
        return Shop(scorer, rules=rules, search=self.search.of_model(scorer), bandit=self.bandit)

    @property
    def rules(self) -> ShopRules:
        """The rules in force."""
        if self.rules_file is not None:
            return self.rules_file.current()
        if not self._fixed.is_current:  # items were added
            self._fixed = self._fixed.again()
        return self._fixed

    def strategy(self, name: str) -> Strategy:
        """A strategy of this model.

        Raises:
            LongInterestError: for an unknown name, and for a strategy that the model or the caller lacks something for.
        """
        return self._made.get(name)

    def available(self) -> dict[str, str]:
        """All strategies: "" for one that can be used, else why it cannot."""
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
            visitor: of the request.
            k: number of items.
            strategy: a name for all places, or ``"mix"`` for the rules' mix.
            exclude_seen: as in :meth:`Recommender.recommend`, for rules without ``exclude``.
            exclude: tokens of items that are not shown.
            where: a condition that the request adds to the rules, such as ``{"category": ["Books"]}``.
            adult: whether items that meet the rules' ``adult`` may be shown.
            seed: of this answer's draws.

        Raises:
            LongInterestError: for a ``k`` below 1, an unknown strategy, one that this model has not, and a condition
                that cannot be used.
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
            for other in dict.fromkeys([name, *rest]):  # what a strategy cannot fill, the next one does
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
        """Items that are like some, or follow them; the items themselves are left out.

        Args:
            items: tokens, those that weigh most first.
            k: number of items.
            strategy: that looks at the last items: ``similar``, ``content``, ``together``.
            where: as in :meth:`recommend`.
            adult: likewise.

        Raises:
            LongInterestError: as :meth:`recommend`, and if not one of the items is known.
        """
        known = [str(item) for item in items if self.scorer.item_id(item)]
        if not known:
            raise LongInterestError(f"Not one of the {len(items)} items is known to the model.")
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
        """Say which items are in stock, from now on.

        Args:
            availability: by token.

        Returns:
            Tokens that the model does not know.
        """
        (self.rules_file or self.rules).set_available(availability)
        return [token for token in availability if not self.scorer.item_id(token)]

    def feedback(
        self, segment: str, shown: Mapping[str, int] | None = None, clicked: Mapping[str, int] | None = None
    ) -> None:
        """Tell the bandit what became of an answer.

        Args:
            segment: of the answer.
            shown: number of shown items by strategy.
            clicked: number of clicked items by strategy.
        """
        shown, clicked = shown or {}, clicked or {}
        for name in dict.fromkeys([*shown, *clicked]):
            self.bandit.feedback(segment, name, shown.get(name, 0), clicked.get(name, 0))

    # --- parts of an answer ------------------------------------------------------------------------------------------

    def _draws(self, seed: int | None) -> np.random.Generator:
        """The draws of one answer."""
        if seed is not None:
            return np.random.default_rng(seed)
        if not hasattr(self._own, "rng"):
            with self._lock:
                self._own.rng = np.random.default_rng(int(self._rng.integers(2**63)))
        return self._own.rng

    def _mixed(self, request: _Request, number: int) -> tuple[list[str], list[str]]:
        """A strategy for each place, and those that fill in for it."""
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
        able = self._able = self.available()  # entry points are looked up once: that takes milliseconds
        named = {name for rule in self.rules.settings.mix for name in (*rule.shares, *rule.arms)} - {BANDIT}
        for name in sorted(named):
            if able.get(name):
                getLogger().warning(printable(f"The mix leaves {name} out: {able[name]}"))
