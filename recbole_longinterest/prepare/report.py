"""The preparation report: rows read, dropped and changed, and statistics of the resulting data set."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.orders import stable_order
from recbole_longinterest.common.printable import printable
from recbole_longinterest.common.ties import Ties, count_ties, leave_one_out, ranks_of_ids, ties_of
from recbole_longinterest.prepare.cleaning.times import NANO
from recbole_longinterest.prepare.events import ROW_NUMBERS, Events
from recbole_longinterest.prepare.readers.chunks import Tally

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
MAX_LEVELS = 20  # distinct ratings that are listed; with more, a histogram is shown


@dataclass(frozen=True)
class Statistics:
    """Statistics of a log, written to ``prepare.json`` under these names."""

    users: int
    items: int
    interactions: int
    density: float
    time_span: list[str]
    tie_share: float
    ties: dict[str, int]
    history_length: dict[str, float]
    item_popularity: dict[str, float]
    rating_levels: dict[str, int] | None
    missing_ratings: int | None
    behaviors: dict[str, int] | None


def describe(events: Events) -> Statistics:
    """Compute the statistics of a log.

    Args:
        events: the log, with at least one event.
    """
    lengths, popularity = np.bincount(events.user), np.bincount(events.item)
    lengths, popularity = lengths[lengths > 0], popularity[popularity > 0]
    ties, tie_share = _ties(events)
    behaviors = None
    if events.behavior is not None:
        counts = np.bincount(events.behavior[events.behavior >= 0], minlength=len(events.behaviors))
        behaviors = {
            name: int(number) for name, number in zip(events.behaviors.to_pylist(), counts, strict=True) if number
        }
    return Statistics(
        users=len(lengths),
        items=len(popularity),
        interactions=len(events),
        density=len(events) / (len(lengths) * len(popularity)),
        time_span=[_utc(int(events.time.min())), _utc(int(events.time.max()))],
        tie_share=tie_share,
        ties=asdict(ties),
        history_length=_quantiles(lengths),
        item_popularity=_quantiles(popularity),
        rating_levels=_levels(events.rating),
        missing_ratings=None if events.rating is None else int(np.isnan(events.rating).sum()),
        behaviors=behaviors,
    )


def _ties(events: Events) -> tuple[Ties, float]:
    """Count ties in file order, with the targets of leave-one-out; and the share of events that are in a tie."""
    order = stable_order(events.user, events.time)
    users, times = events.user[order], events.time[order]
    items = ranks_of_ids(events.items.to_pylist()).astype(np.int32)[events.item[order]]
    del order
    tied = ties_of(users, times)
    share = float((tied | np.append(tied[1:], False)).mean())
    return count_ties(users, times, items, *leave_one_out(users)), share


def _quantiles(values: NDArray[np.integer]) -> dict[str, float]:
    return {f"{at:g}": float(value) for at, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def _levels(rating: NDArray[np.float64] | None) -> dict[str, int] | None:
    if rating is None:
        return None
    values, counts = np.unique(rating[~np.isnan(rating)], return_counts=True)
    if len(values) <= MAX_LEVELS:
        return {f"{value:g}": int(number) for value, number in zip(values, counts, strict=True)}
    return {f"{low:g} to {high:g}": int(number) for low, high, number in _bins(rating[~np.isnan(rating)])}


def _bins(values: NDArray[np.float64]) -> list[tuple[float, float, int]]:
    counts, edges = np.histogram(values, MAX_LEVELS)
    return [(edges[at], edges[at + 1], number) for at, number in enumerate(counts) if number]


def _utc(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // NANO, tz=timezone.utc).isoformat()


def as_text(report: Mapping[str, Any]) -> str:
    """Format the report as a table for a terminal.

    Args:
        report: content of ``prepare.json``.
    """
    rows, data = report["rows"], report["statistics"]
    lines = [("rows read", f"{rows['read']:,}"), *_counted("  dropped: ", rows["dropped"], rows["places"])]
    lines += [("rows kept", f"{rows['kept']:,}"), *_counted("  changed: ", report["changed"], rows["places"])]
    if report["item_rows"]["read"]:
        items = report["item_rows"]
        lines += [("item rows read", f"{items['read']:,}"), *_counted("  dropped: ", items["dropped"], items["places"])]
    lines += _counted("  changed: ", report["item_rows"]["changed"], report["item_rows"]["places"])
    for name, words in report["missing_values"].items():
        counts = ", ".join(f"{_printable(word)} {number:,}" for word, number in list(words.items())[:MAX_LEVELS])
        lines.append((f"  read as missing: {name}", f"{counts}  (--missing-values sets these words)"))
    lines += [("times", ", ".join(f"{name}: {number:,}" for name, number in report["times"].items()))]
    lines += [("duplicates", report["duplicates"])]
    lines += [(name, f"{data[name]:,}") for name in ("users", "items", "interactions")]
    lines += [("density", f"{data['density']:.3%}")]
    if ROW_NUMBERS not in report["times"]:
        lines += [("time span", " to ".join(data["time_span"]))]
        lines += [("events at the time of another event of the user", f"{data['tie_share']:.1%}")]
        lines += [("ties", Ties(**data["ties"]).sentence())]
    for name, title in (("history_length", "events per user"), ("item_popularity", "events per item")):
        lines.append((title, ", ".join(f"{_share(at)} {value:g}" for at, value in data[name].items())))
    for name, title in (("rating_levels", "ratings"), ("behaviors", "behaviours")):
        if data[name] is not None:
            lines.append((title, ", ".join(f"{level}: {number:,}" for level, number in data[name].items()) or "none"))
    if data["missing_ratings"]:
        lines.append(("events without a rating", f"{data['missing_ratings']:,}"))
    lines += [(f"items with {name}", f"{share:.1%}") for name, share in report["text_coverage"].items()]
    for name, what in report["item_columns"].items():
        hint = "  (--category-separator changes this)" if "separated" in what else ""
        lines.append((f"values of {name}", f"{what}{hint}"))
    width = max(len(name) for name, _ in lines)
    return "".join(f"{printable(name):{width}}  {printable(value)}\n" for name, value in lines)


def _printable(word: str) -> str:
    return word if word.isprintable() else ascii(word)


def _share(at: str) -> str:
    return {"0": "least", "0.5": "median", "1": "most"}.get(at, f"{float(at):.0%}")


def _counted(prefix: str, counts: Mapping[str, int], places: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (prefix + reason, f"{number:,}" + (f"  (first: {places[reason]})" if reason in places else ""))
        for reason, number in counts.items()
        if number
    ]


def counts_of(tally: Tally) -> dict[str, Any]:
    """Convert a tally to its form in the report."""
    return {
        "read": tally.read,
        "dropped": {reason: number for reason, number in tally.dropped.items() if number},
        "places": dict(tally.places),
    }
