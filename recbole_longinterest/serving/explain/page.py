"""An explanation as text and as one self-contained HTML page: why these items, and the interest over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import torch

from recbole_longinterest.common.html_pages import render_page
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.explain.category_profile import category_profile_of, interest_over_time
from recbole_longinterest.serving.results import EventShare, Explanation, Recommendation
from recbole_longinterest.serving.scorer import Scorer

COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#b8860b")
SERIES, DRIVERS, WIDTH, HEIGHT, BAR = 5, 3, 860, 300, 160


@dataclass(frozen=True)
class Course:
    """How the interest in one category, or the score of one item, changed over time.

    Attributes:
        name: of a category, or title of an item.
        values: after each event.
        drivers: numbers of the events after which it rose most, and the rise, largest first.
    """

    name: str
    values: list[float]
    drivers: list[tuple[int, float]]


def courses(scorer: Scorer, history: History, found: Recommendation) -> list[Course]:
    """The user's leading categories over time; for a data set without categories, the items recommended first."""
    interest = interest_over_time(scorer, history)
    profile = category_profile_of(scorer, interest)
    if profile.names:
        chosen = profile.leading(SERIES)
        names, values = [profile.names[i] for i in chosen], profile.values[:, chosen]
    else:
        ids = [scorer.item_id(item.item) for item in found.items[:SERIES]]
        names = [item.title or item.item for item in found.items[:SERIES]]
        compared, items = scorer.network.comparable(interest, scorer.items[ids])
        values = compared @ items.T
    rises = values.diff(dim=0, prepend=torch.zeros_like(values[:1]))
    out = []
    for column, name in enumerate(names):
        top = rises[:, column].topk(min(DRIVERS, len(rises)))
        drivers = [(int(i), float(v)) for v, i in zip(top.values, top.indices, strict=True) if v > 0]
        out.append(Course(name, values[:, column].tolist(), drivers))
    return out


def text_of(user: object, found: Recommendation, events: int = 5) -> str:
    """An explanation for the terminal."""
    lines = [f"user {user}, {found.events} events"]
    for rank, item in enumerate(found.items, start=1):
        lines.append(f"{rank:3} {item.title or item.item}  (score {item.score:.3f})")
        why = item.why
        if not isinstance(why, Explanation):
            continue
        for event in why.leading(events):
            lines.append(f"      {event.share:+7.1%}  {event.title or event.item}  (attention {event.attention:.1%})")
        lines.append("      sources: " + ", ".join(f"{name} {share:+.0%}" for name, share in why.sources.items()))
    return "\n".join(lines) + "\n"


def page_of(scorer: Scorer, user: object, history: History, found: Recommendation) -> str:
    """The page: a chart of the interest over time with the titles that drive it, and each item's reasons."""
    history = scorer.windowed(history)
    values = {
        "user": user,
        "events": found.events,
        "span": _span(history),
        "chart": _chart(courses(scorer, history, found)),
        "titles": [_title(scorer, int(item)) for item in history.item_seq],
        "items": [(item, None if item.why is None else _strongest(item.why)) for item in found.items],
    }
    return render_page("recbole_longinterest.serving.explain", "interest.html.j2", values)


def _title(scorer: Scorer, item: int) -> str:
    return scorer.served.items.titles[item] or scorer.served.items.tokens[item]


def _span(history: History) -> str:
    times = history.time[[0, -1]]
    if not (0 < times[0] < 1e11 and 0 < times[1] < 1e11):  # none, or not seconds since 1970
        return ""
    first, last = (datetime.fromtimestamp(float(time), timezone.utc).date() for time in times)
    return f", {first} to {last}"


@dataclass(frozen=True)
class _Line:
    """A course as it is drawn: a point (x, y) for each event."""

    name: str
    colour: str
    points: list[tuple[float, float]]
    last: float
    drivers: list[tuple[int, float]]


@dataclass(frozen=True)
class _Chart:
    """The chart; ``scale`` is the highest and the lowest value, each with its height."""

    width: int
    height: int
    scale: list[tuple[float, float]]
    lines: list[_Line]


def _chart(lines: Sequence[Course]) -> _Chart:
    values = [value for line in lines for value in line.values]
    low, high = min(values), max(values)
    number = len(lines[0].values)

    def place(event: int, value: float) -> tuple[float, float]:
        x = WIDTH * (event + 0.5) / number
        return round(x, 1), round(HEIGHT - 18 - (HEIGHT - 36) * (value - low) / ((high - low) or 1), 1)

    drawn = [
        _Line(line.name, colour, [place(*point) for point in enumerate(line.values)], line.values[-1], line.drivers)
        for line, colour in zip(lines, COLOURS, strict=False)
    ]
    return _Chart(WIDTH, HEIGHT, [(value, place(0, value)[1]) for value in (high, low)], drawn)


def _strongest(why: Explanation, number: int = 8) -> list[tuple[EventShare, float]]:
    """The events of the largest shares, each with the width of its bar."""
    strongest = sorted(why.events, key=lambda event: -abs(event.share))[:number]
    widest = max((abs(event.share) for event in strongest), default=1.0) or 1.0
    return [(event, BAR * abs(event.share) / widest) for event in strongest]
