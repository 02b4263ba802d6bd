"""Which items of a user's past are left out of recommendations: by the behaviour of its events, and by a list."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.behaviors import Behaviors
from recbole_longinterest.serving.events import History

ExcludeSeen: TypeAlias = bool | str | Collection[str]
"""True, False, ``"target"``, ``"all"``, ``"none"``, or behaviours, as a list or with commas between them."""
UNSAID = ""  # in place of the behaviour of an event that has none
WORDS = ("target", "all", "none")


@dataclass(frozen=True)
class Exclusion:
    """What is left out.

    Attributes:
        behaviors: of the events whose items are left out; None for all events.
        unsaid: whether the items of events without a behaviour are left out as well.
        items: internal ids that are left out whatever the user did.
    """

    behaviors: frozenset[str] | None
    unsaid: bool
    items: NDArray[np.int64]

    @property
    def all_seen(self) -> bool:
        """Whether every item of a user's past is left out."""
        return self.behaviors is None

    def of_history(self, history: History) -> NDArray[np.int64]:
        """Internal ids that are left out for the user of a history."""
        seen = history.item_seq
        if self.behaviors is not None:
            kinds = history.behavior if history.behavior is not None else [None] * len(history)
            chosen = [self.unsaid if kind is None else kind in self.behaviors for kind in kinds]
            seen = seen[np.array(chosen, dtype=bool)]
        return np.concatenate([seen, self.items]) if len(self.items) else seen

    def of_seen(self, seen: set[int], seen_by: Mapping[str, set[int]]) -> set[int]:
        """Internal ids that are left out for the user of a state.

        Args:
            seen: items of all its events.
            seen_by: items of the events of each behaviour.
        """
        if self.behaviors is None:
            left_out = seen
        else:
            left_out = set().union(*(seen_by.get(name, ()) for name in self.behaviors))
            if self.unsaid:  # and items of states that were kept without behaviours
                left_out |= seen_by.get(UNSAID, set()) | seen.difference(*seen_by.values())
        return left_out | set(self.items.tolist()) if len(self.items) else left_out


WHOLE_PAST = Exclusion(None, True, np.zeros(0, dtype=np.int64))


def read_exclusion(exclude_seen: ExcludeSeen, behaviors: Behaviors, items: Iterable[int] = ()) -> Exclusion:
    """What is left out.

    Args:
        exclude_seen: True and ``"target"`` are the items of the target behaviours, and of events that do not say their
            behaviour; all items of the past for a model without ``target_behavior``.
        behaviors: of the model.
        items: internal ids of further items.

    Raises:
        LongInterestError: for another value, and behaviours that the training had not.
    """
    items = list(items)
    if not items and exclude_seen is True and not behaviors.targets:
        return WHOLE_PAST  # the usual case of a stream, without a search
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
