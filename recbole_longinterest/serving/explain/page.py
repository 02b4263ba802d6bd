"""Render an explanation as text or as a self-contained HTML page, with the interest over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from recbole_longinterest.common.html_pages import render_page
from recbole_longinterest.common.printable import printable
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.explain.category_profile import category_profile_of, interest_over_time
from recbole_longinterest.serving.results import EventShare, Explanation, Recommendation
from recbole_longinterest.serving.scorer import Scorer

COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#b8860b")
SERIES, DRIVERS, WIDTH, HEIGHT, BAR = 5, 3, 860, 300, 160
CLOSE, THICKER = 2.0, 3.0  # pixels


@dataclass(frozen=True)
class Course:
    """Interest in one category, or the score of one item, over time.

    Attributes:
        name: name of the category, or title of the item.
        values: value after each event.
        drivers: (event index, rise) of the largest rises, largest first.
    """

    name: str
    values: list[float]
    drivers: list[tuple[int, float]]


def courses(scorer: Scorer, history: History, found: Recommendation) -> list[Course]:
    """Compute the user's leading categories over time; the top recommended items if there are no categories."""
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
    """Format an explanation for the terminal."""
    lines = [f"user {printable(user)}, {found.events} events"]
    for rank, item in enumerate(found.items, start=1):
        lines.append(f"{rank:3} {printable(item.title or item.item)}  (score {item.score:.3f})")
        why = item.why
        if not isinstance(why, Explanation):
            continue
        leading = why.leading(events)
        against = [event for event in why.against(2) if event not in leading]
        for event in [*leading, *reversed(against)]:
            notes = [
                event.when_and_how,
                f"attention {event.attention:.1%}",
                f"then this item {event.followed:,} times" if event.followed else "",
                "against the item" if event.share < 0 else "",
            ]
            named = printable(event.title or event.item)
            lines.append(f"      {event.share:+7.1%}  {named}  ({printable(', '.join(filter(None, notes)))})")
        lines.append(f"      sources: {why.sources_said}")
    return "\n".join(lines) + "\n"


def page_of(scorer: Scorer, user: object, history: History, found: Recommendation) -> str:
    """Render the page: a chart of the interest over time with its driving titles, and each item's explanation."""
    history = scorer.windowed(history)
    values = {
        "user": user,
        "events": found.events,
        "span": _span(scorer, history),
        "chart": _chart(courses(scorer, history, found)),
        "titles": [_title(scorer, history, event) for event in range(len(history))],
        "items": [
            (item, None, []) if item.why is None else (item, _strongest(item.why), _sources(item.why))
            for item in found.items
        ],
    }
    return render_page("recbole_longinterest.serving.explain", "interest.html.j2", values)


def _title(scorer: Scorer, history: History, event: int) -> str:
    """Return an event's title, with its date and behaviour."""
    items, item = scorer.served.items, int(history.item_seq[event])
    behavior = None if history.behavior is None else history.behavior[event]
    notes = ", ".join(filter(None, (scorer.reader.times.date_of(float(history.time[event])), behavior)))
    return (items.titles[item] or items.tokens[item]) + (f" ({notes})" if notes else "")


def _span(scorer: Scorer, history: History) -> str:
    first, last = (scorer.reader.times.date_of(float(time)) for time in history.time[[0, -1]])
    return f", {first} to {last}" if first and last else ""


@dataclass(frozen=True)
class _Line:
    """A course as a line in the chart, with a point (x, y) for each event.

    Of coinciding lines the first is drawn widest, so that its edges stay visible.
    """

    name: str
    colour: str
    points: list[tuple[float, float]]
    last: float
    drivers: list[tuple[int, float]]
    width: float
    like: list[str]


@dataclass(frozen=True)
class _Chart:
    """The chart; ``scale`` has the highest and the lowest value with their y positions."""

    width: int
    height: int
    scale: list[tuple[float, float]]
    lines: list[_Line]


def _chart(lines: Sequence[Course]) -> _Chart | None:
    if not lines:  # no categories, and nothing to recommend
        return None
    values = [value for line in lines for value in line.values]
    low, high = min(values), max(values)
    number = len(lines[0].values)

    def place(event: int, value: float) -> tuple[float, float]:
        x = WIDTH * (event + 0.5) / number
        return round(x, 1), round(HEIGHT - 18 - (HEIGHT - 36) * (value - low) / ((high - low) or 1), 1)

    paths = [[place(*point) for point in enumerate(line.values)] for line in lines]
    drawn = []
    for which, (line, colour, path) in enumerate(zip(lines, COLOURS, paths, strict=False)):
        alike = [other for other, its in enumerate(paths) if other != which and _coincide(path, its)]
        above = sum(other > which for other in alike)
        names = [lines[other].name for other in alike]
        drawn.append(_Line(line.name, colour, path, line.values[-1], line.drivers, 1.5 + THICKER * above, names))
    return _Chart(WIDTH, HEIGHT, [(value, place(0, value)[1]) for value in (high, low)], drawn)


def _sources(why: Explanation) -> list[tuple[str, float, float]]:
    """Return (source, share, bar width), largest share first."""
    ranked = sorted(why.sources.items(), key=lambda pair: -abs(pair[1]))
    widest = max((abs(share) for _, share in ranked), default=1.0) or 1.0
    return [(name, share, BAR * abs(share) / widest) for name, share in ranked]


def _coincide(path: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> bool:
    """Whether one line covers the other over at least half of its length."""
    near = sum(abs(y - its) < CLOSE for (_, y), (_, its) in zip(path, other, strict=True))
    return near >= len(path) / 2


def _strongest(why: Explanation, number: int = 8) -> list[tuple[EventShare, float]]:
    """Return the events with the largest shares, each with the width of its bar."""
    strongest = sorted(why.events, key=lambda event: -abs(event.share))[:number]
    widest = max((abs(event.share) for event in strongest), default=1.0) or 1.0
    return [(event, BAR * abs(event.share) / widest) for event in strongest]
