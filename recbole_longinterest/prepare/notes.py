"""Notes of the report: times that may be misread, and behaviour names that may mean the same."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa

from recbole_longinterest.common.similar_names import notes_on_behaviors
from recbole_longinterest.prepare.cleaning.number_dates import NANO
from recbole_longinterest.prepare.events import ROW_NUMBERS, Events

FIRST_YEAR = 1990  # earlier times are suspicious
WAY_OUT = "If they were read wrongly, give their format with --time-format."


def notes_on(events: Events, forms: Mapping[str, int]) -> Iterator[str]:
    """Yield notes on a log, as sentences.

    Args:
        events: the kept events, at least one.
        forms: time format -> number of events.
    """
    if ROW_NUMBERS in forms:
        yield (
            "The data has no times: events are in the order of the rows, and row numbers are used in place of seconds. "
            "Train with --time_features=off."
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
        yield f"The times have {len(forms)} formats, which may reorder events: {counts}. {WAY_OUT}"


def _start_of(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()) * NANO


def behavior_counts(events: Events) -> dict[str, int]:
    """Count the behaviours of a log; behaviours whose events were all filtered out are left out."""
    if events.behavior is None:
        return {}
    numbers, counts = np.unique(events.behavior[events.behavior >= 0], return_counts=True)
    return dict(zip(events.behaviors.take(pa.array(numbers)).to_pylist(), counts.tolist(), strict=True))
