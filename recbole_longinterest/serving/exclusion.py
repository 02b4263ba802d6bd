"""Exclude items from recommendations: seen items, by the behaviour of their events, and a list of items."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.behaviors import Behaviors
from recbole_longinterest.serving.events import History

ExcludeSeen: TypeAlias = bool | str | Collection[str]
"""True, False, ``"target"``, ``"all"``, ``"none"``, or behaviours, as a list or separated by commas."""
UNSAID = ""  # key for events without a behaviour
WORDS = ("target", "all", "none")


@dataclass(frozen=True)
class Exclusion:
    """Items to exclude from recommendations.

    Attributes:
        behaviors: items of events with these behaviours are excluded; None for all events.
        unsaid: whether items of events without a behaviour are excluded, too.
        items: internal ids that are always excluded.
    """

    behaviors: frozenset[str] | None
    unsaid: bool
    items: NDArray[np.int64]

    @property
    def all_seen(self) -> bool:
        """Whether all seen items are excluded."""
        return self.behaviors is None

    def of_history(self, history: History) -> NDArray[np.int64]:
        """Return the internal ids to exclude for a history."""
        seen = history.item_seq
        if self.behaviors is not None:
            kinds = history.behavior if history.behavior is not None else [None] * len(history)
            chosen = [self.unsaid if kind is None else kind in self.behaviors for kind in kinds]
            seen = seen[np.array(chosen, dtype=bool)]
        return np.concatenate([seen, self.items]) if len(self.items) else seen

    def of_seen(self, seen: set[int], seen_by: Mapping[str, set[int]]) -> set[int]:
        """Return the internal ids to exclude for a user state.

        Args:
            seen: items of all events.
            seen_by: items of the events of each behaviour.
        """
        if self.behaviors is None:
            left_out = seen
        else:
            left_out = set().union(*(seen_by.get(name, ()) for name in self.behaviors))
            if self.unsaid:  # also items of states that were saved without behaviours
                left_out |= seen_by.get(UNSAID, set()) | seen.difference(*seen_by.values())
        return left_out | set(self.items.tolist()) if len(self.items) else left_out


WHOLE_PAST = Exclusion(None, True, np.zeros(0, dtype=np.int64))


def read_exclusion(exclude_seen: ExcludeSeen, behaviors: Behaviors, items: Iterable[int] = ()) -> Exclusion:
    """Parse the setting ``exclude_seen``.

    Args:
        exclude_seen: True and ``"target"`` exclude items of events with a target behaviour or without a behaviour, and
            all seen items for a model without ``target_behavior``.
        behaviors: behaviours of the model.
        items: internal ids of further items to exclude.

    Raises:
        LongInterestError: for an invalid value, or unknown behaviours.
    """
    items = list(items)
    if not items and exclude_seen is True and not behaviors.targets:
        return WHOLE_PAST  # the usual case, without further work
    ids = np.fromiter({item for item in items if item}, np.int64)
    if isinstance(exclude_seen, (bool, np.bool_)):
        exclude_seen = "target" if exclude_seen else "none"
    if isinstance(exclude_seen, str):
        word = exclude_seen.strip()
        if word == "all" or (word == "target" and not behaviors.targets):
            return Exclusion(None, True, ids)
        if word in ("target", "none"):
            return Exclusion(frozenset(behaviors.targets if word == "target" else ()), word == "target", ids)
        exclude_seen = [name.strip() for name in word.split(",") if name.strip()]
    if not isinstance(exclude_seen, Collection) or isinstance(exclude_seen, (bytes, Mapping)) or not exclude_seen:
        raise LongInterestError(f"exclude_seen must be True, False, {_choices(behaviors)}; got {exclude_seen!r}.")
    names = frozenset(filter(None, map(behaviors.name_of, exclude_seen)))
    other = sorted(names - set(behaviors.names))
    if other:
        raise LongInterestError(f"exclude_seen must be True, False, {_choices(behaviors)}; got {', '.join(other)}.")
    return Exclusion(names, False, ids)


def _choices(behaviors: Behaviors) -> str:
    named = f", or of the behaviours {', '.join(behaviors.names)}" if behaviors.names else " (no behaviours are known)"
    return f"{', '.join(WORDS)}{named}"
