"""Apply rules to a model's catalogue: masks and boosts are computed once, visitor-dependent rules per request."""

from collections.abc import Collection, Mapping
from logging import getLogger
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable
from recbole_longinterest.serving.candidates import NO_IDS, Admission, Ids, Scores
from recbole_longinterest.serving.exclusion import ExcludeSeen, read_exclusion
from recbole_longinterest.serving.rules.catalogue import CATEGORY, Catalogue, read_columns
from recbole_longinterest.serving.rules.conditions import Condition, check_condition, read_condition
from recbole_longinterest.serving.rules.problems import Problems
from recbole_longinterest.serving.rules.selection import Selection
from recbole_longinterest.serving.rules.settings import Exclude, RulesError, RuleSettings, Tokens, raise_problems
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.visitor import Visitor

DAY = 86_400.0  # seconds


class ShopRules:
    """The rules for a model's items.

    Args:
        settings: from :func:`~.settings.read_rules`.
        scorer: the model.
        folder: folder that paths are relative to.
        where: the rules file, for messages.

    Raises:
        RulesError: for files that cannot be read, and unknown attributes or behaviours, all in one message.

    Attributes:
        settings: the settings.
        catalogue: the items, with the columns of the item table.
    """

    def __init__(
        self, settings: RuleSettings, scorer: Scorer, folder: Path = Path(), where: str | Path = "The rules"
    ) -> None:
        self.settings, self.scorer, self._folder, self._where = settings, scorer, folder, where
        problems = Problems()
        self.catalogue = self._read_catalogue(problems)
        lists = {name: self._ids(getattr(settings, name), name, problems) for name in ("out_of_stock", "allow", "deny")}
        self._check(problems)
        raise_problems(problems, where)
        self._stocked = self._stock(lists["out_of_stock"])
        self._allowed = self._mask(lists)
        self._adult = None if settings.adult is None else settings.adult.mask(self.catalogue)
        self._boost = self._factors()
        self._availability: dict[str, bool] = {}
        self._refresh()
        self._condition_cache: dict[str, NDArray[np.bool_]] = {}

    @property
    def is_current(self) -> bool:
        """Whether the rules cover all current items of the model."""
        return len(self.catalogue) == self.scorer.n_items + 1

    def again(self, scorer: Scorer | None = None) -> "ShopRules":
        """Apply the same rules to the current items of the model.

        Args:
            scorer: another model; None for the same model.

        Raises:
            RulesError: if a file named in the rules can no longer be used.
        """
        out = ShopRules(self.settings, scorer or self.scorer, self._folder, self._where)
        out.set_available(self._availability)
        return out

    # --- per request -------------------------------------------------------------------------------------------------

    def admission(
        self,
        visitor: Visitor,
        *,
        exclude_seen: ExcludeSeen = True,
        exclude: Collection[int] = (),
        where: Mapping[str, object] | None = None,
        adult: bool = False,
    ) -> Admission:
        """Return the items that a visitor may be shown, with boosts.

        Args:
            visitor: the visitor, with the events for the key ``exclude`` of the rules.
            exclude_seen: see :meth:`Recommender.recommend`; used for rules without ``exclude``.
            exclude: internal ids of further items to hide.
            where: an additional condition of the request.
            adult: whether items that match the rules' ``adult`` condition may be shown.

        Raises:
            RulesError: for an invalid condition.
        """
        allowed = self._allowed_with_adult if adult else self._allowed_without_adult
        if where is not None:
            wanted = self._condition(where)
            allowed = wanted if allowed is None else allowed & wanted
        return Admission(allowed, self._boost, self._hidden(visitor, exclude_seen, exclude))

    def selection(self, places: int) -> Selection:
        """Create the selection of an answer, with the limits and the diversity of the rules."""
        limits = [(self.catalogue.groups(limit.attribute), limit.at_most) for limit in self.settings.limits]
        return Selection(places, limits, self.settings.diversity, self.scorer.items)

    def set_available(self, availability: Mapping[str, bool]) -> None:
        """Set which items are in stock; later calls override earlier ones, and calls override the file.

        Args:
            availability: token -> whether it is in stock; unknown tokens have no effect.
        """
        self._availability |= availability
        self._refresh()

    # --- computed once -----------------------------------------------------------------------------------------------

    def _read_catalogue(self, problems: Problems) -> Catalogue:
        columns = None
        if self.settings.items_file:
            try:
                file = self._folder / self.settings.items_file
                columns = read_columns(file, self.scorer.served, self.settings.items_column)
            except LongInterestError as error:
                problems.found.append(f"items: {str(error).rstrip('.')}")
        return Catalogue(self.scorer.served, columns)

    def _ids(self, given: Tokens | None, name: str, problems: Problems) -> Ids | None:
        if given is None:
            return None
        tokens = list(given.tokens)
        if given.file:
            try:
                lines = (self._folder / given.file).read_text(encoding="utf-8-sig").split("\n")
                tokens = [line.strip() for line in lines if line.strip()]
            except (OSError, UnicodeDecodeError) as error:
                problems.found.append(f"{name}: {given.file} cannot be read: {error}")
        ids = self.catalogue.ids(tokens)
        if len(ids) < len(tokens):
            getLogger().info(f"{name}: {len(tokens) - len(ids)} of {len(tokens)} items are unknown to the model.")
        return ids

    def _check(self, problems: Problems) -> None:
        settings = self.settings
        if settings.items_file and problems.found:
            return  # without the table, its columns cannot be checked
        conditions = {f"keep[{i}]": each for i, each in enumerate(settings.keep)}
        conditions |= {f"hide[{i}]": each for i, each in enumerate(settings.hide)}
        conditions |= {f"boosts[{i}].where": each.where for i, each in enumerate(settings.boosts)}
        conditions |= {} if settings.adult is None else {"adult": settings.adult}
        for where, condition in conditions.items():
            check_condition(condition, where, self.catalogue, problems)
            self._note(condition, where)
        for i, limit in enumerate(settings.limits):
            if limit.attribute not in self.catalogue.attributes[1:]:
                known = ", ".join(self.catalogue.attributes[1:]) or "none"
                problems.add(f"limits[{i}].of", f"an attribute of items ({known})", limit.attribute)
        names = self.scorer.reader.behaviors.names
        for i, each in enumerate(settings.exclude or ()):
            other = [name for name in each.behaviors if self.scorer.reader.behaviors.name_of(name) not in names]
            if other:
                problems.add(f"exclude[{i}].behavior", f"among the model's ({', '.join(names) or 'none'})", other[0])

    def _note(self, condition: Condition, where: str) -> None:
        """Log values that no item has: a typing error, or a future category."""
        for test in condition.tests:
            if test.values and test.attribute in self.catalogue.attributes[1:]:
                names = set(self.catalogue.groups(test.attribute).names)
                if not names & {*test.values, *(value.capitalize() for value in test.values), "1", "0", "yes", "no"}:
                    said = f"{where}: no item has the {test.attribute} {', '.join(test.values)}."
                    getLogger().warning(printable(said))

    def _stock(self, out: Ids | None) -> NDArray[np.bool_]:
        stocked = np.ones(len(self.catalogue), dtype=bool)
        stocked[NO_IDS if out is None else out] = False
        return stocked

    def _mask(self, lists: Mapping[str, Ids | None]) -> NDArray[np.bool_]:
        allow, deny = lists["allow"], lists["deny"]
        allowed = np.full(len(self.catalogue), allow is None)
        if allow is not None:
            allowed[allow] = True
        if deny is not None:
            allowed[deny] = False
        for condition in self.settings.keep:
            allowed &= condition.mask(self.catalogue)
        for condition in self.settings.hide:
            allowed &= ~condition.mask(self.catalogue)
        allowed[0] = False
        return allowed

    def _factors(self) -> Scores | None:
        if not self.settings.boosts:
            return None
        boost = np.zeros(len(self.catalogue), dtype=np.float32)
        for each in self.settings.boosts:  # boosts multiply if an item meets several conditions
            boost[each.where.mask(self.catalogue)] += np.log(each.factor)
        return boost

    def _refresh(self) -> None:
        """Rebuild the masks for requests; they are replaced, never changed in place."""
        stocked = self._stocked.copy()
        for available in (False, True):
            stocked[self.catalogue.ids([token for token, said in self._availability.items() if said is available])] = (
                available
            )
        open_ = self._allowed & stocked
        shown = open_ if self._adult is None else open_ & ~self._adult
        self._allowed_with_adult, self._allowed_without_adult = (
            None if mask[1:].all() else mask for mask in (open_, shown)
        )

    def _condition(self, where: Mapping[str, object]) -> NDArray[np.bool_]:
        key = repr(where)
        mask = self._condition_cache.get(key)
        if mask is None:
            problems = Problems()
            condition = read_condition(where, "where", problems)
            check_condition(condition, "where", self.catalogue, problems)
            raise_problems(problems, "The request")
            if len(self._condition_cache) >= 64:  # limits the cache, because requests may have any condition
                self._condition_cache.clear()
            mask = self._condition_cache[key] = condition.mask(self.catalogue)
        return mask  # another thread may have cleared them

    def _hidden(self, visitor: Visitor, exclude_seen: ExcludeSeen, exclude: Collection[int]) -> Ids:
        more = np.fromiter(exclude, np.int64, len(exclude))
        if self.settings.exclude is None:
            exclusion = read_exclusion(exclude_seen, self.scorer.reader.behaviors, exclude)
            return visitor.hidden_by(exclusion)
        return np.concatenate([more, *(self._of_events(visitor, each) for each in self.settings.exclude)])

    def _of_events(self, visitor: Visitor, rule: Exclude) -> Ids:
        """Return the items that a rule excludes for a visitor; events without a time count as new."""
        behaviors = self.scorer.reader.behaviors
        if rule.days is None:
            exclude_seen: ExcludeSeen = list(rule.behaviors) if rule.behaviors else "all"
            return visitor.hidden_by(read_exclusion(exclude_seen, behaviors))
        history = visitor.history
        chosen = np.ones(len(history), dtype=bool)
        if rule.behaviors:
            names = {behaviors.name_of(name) for name in rule.behaviors}
            kinds = history.behavior if history.behavior is not None else [None] * len(history)
            chosen = np.array([kind in names for kind in kinds], dtype=bool)
        training = self.scorer.reader.times.training
        day = DAY * (1.0 if training is None else training.per_second)
        with np.errstate(invalid="ignore"):
            old = visitor.now - history.time >= rule.days * day  # NaN is not old
        return history.item_seq[chosen & ~old]


def no_rules(scorer: Scorer) -> ShopRules:
    """Return empty rules, which do not change the ranking."""
    return ShopRules(RuleSettings(), scorer)


__all__ = ["CATEGORY", "RulesError", "ShopRules", "no_rules"]
