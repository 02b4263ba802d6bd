"""Update a served model's memory of transitions with new events."""

from collections.abc import Sequence

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import EventLike
from recbole_longinterest.serving.scorer import Scorer


def observe(scorer: Scorer, events: Sequence[EventLike], new: int | None = None) -> int:
    """Increase the counts of the transitions to a user's new events; see :meth:`Recommender.observe`.

    Args:
        scorer: the model.
        events: events of one user.
        new: number of new events at the end; None for all.

    Returns:
        Number of counted events.

    Raises:
        LongInterestError: for a model without a memory of transitions, or a ``new`` out of range.
    """
    memory = scorer.network.memory
    if memory is None:
        raise LongInterestError(
            "This model has no memory of transitions, so it cannot observe events. Train a model with memory: on, or "
            "use recbole-li update."
        )
    number = len(events) if new is None else new
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= len(events):
        raise LongInterestError(f"new must be a number from 0 to the {len(events)} events; got {new!r}.")
    whole, before = scorer.reader.read(events), scorer.reader.read(events[: len(events) - number])
    targets = scorer.reader.behaviors.targets
    wanted = np.ones(len(whole), bool)
    if targets:
        kinds = [None] * len(whole) if whole.behavior is None else whole.behavior.tolist()
        wanted = np.array([kind in targets for kind in kinds], bool)
    counted = len(whole) - len(before)
    assert scorer.fingerprint  # computed before the tables change, because saved states belong to the export
    memory.observe(whole.item_seq.tolist(), counted, wanted.tolist())
    return counted
