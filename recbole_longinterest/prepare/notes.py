"""What a reader of the report should look at: times that may be misread, names of behaviours that may be one."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa

from recbole_longinterest.common.similar_names import notes_on_behaviors
from recbole_longinterest.prepare.cleaning.number_dates import NANO
from recbole_longinterest.prepare.events import ROW_NUMBERS, Events

FIRST_YEAR = 1990  # of a log that a program wrote
WAY_OUT = "If they were read wrongly, say what they are with --time-format."


def notes_on(events: Events, forms: Mapping[str, int]) -> Iterator[str]:
    """Sentences about a log.

    Args:
        events: that are kept, at least one.
        forms: forms of the times -> how often.
    """
    if ROW_NUMBERS in forms:
        yield (
            "The data has no times: the order of the rows is that of the events, and their numbers stand in place of "
            "seconds. Train with --time_features=off."
        )
    else:
        yield from _on_times(events, {name: number for name, number in forms.items() if number})
    counts = behavior_counts(events)
    yield from notes_on_behaviors(sorted(counts, key=lambda name: (-counts[name], name)))


def _on_times(events: Events, forms: Mapping[str, int]) -> Iterator[str]:
    this_year = datetime.now(timezone.utc).year
    early, late = events.time < _start_of(FIRST_YEAR), events.time >= _start_of(this_year + 2)
    for mask, what, end in (
        (early, f"before {FIRST_YEAR}, the first on", np.min),
        (late, f"after {this_year + 1}, the last on", np.max),
    ):
        if mask.any():
            day = datetime.fromtimestamp(int(end(events.time)) // NANO, tz=timezone.utc)
            yield (
                f"The times of {int(mask.sum()):,} of {len(events):,} events are {what} {day:%Y-%m-%d}; they were read "
                f"as {', '.join(forms)}. {WAY_OUT}"
            )
    if len(forms) > 1:
        counts = ", ".join(f"{name}: {number:,}" for name, number in forms.items())
        yield f"The times are of {len(forms)} kinds, which may reorder events: {counts}. {WAY_OUT}"


def _start_of(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()) * NANO


def behavior_counts(events: Events) -> dict[str, int]:
    """Behaviours that some event of a log has, and how often; filters may have dropped all of another."""
    if events.behavior is None:
        return {}
    numbers, counts = np.unique(events.behavior[events.behavior >= 0], return_counts=True)
    return dict(zip(events.behaviors.take(pa.array(numbers)).to_pylist(), counts.tolist(), strict=True))
