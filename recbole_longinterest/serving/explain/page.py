"""An explanation as text and as one self-contained HTML page: why these items, and the interest over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape

import torch

from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.explain.category_profile import category_profile_of, interest_over_time
from recbole_longinterest.serving.results import Explanation, Recommendation
from recbole_longinterest.serving.scorer import Scorer

COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#b8860b")
SERIES, DRIVERS, WIDTH, HEIGHT = 5, 3, 860, 300


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
    titles = [_title(scorer, int(i)) for i in history.item_seq]
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<title>Interest of {escape(str(user))}</title>",
        "<style>body{font:15px/1.5 sans-serif;max-width:900px;margin:2em auto;color:#222}td{padding:0 .8em 0 0}"
        ".bar{display:inline-block;height:.7em;background:#1b6ca8}.neg{background:#c8553d}</style>",
        f"<h1>Interest of {escape(str(user))}</h1><p>{found.events} events{_span(history)}.</p>",
        "<h2>Over time</h2>",
        "<p>After each event, first to last: by how much a category's items score above the average item; without "
        "categories, the scores of the items recommended now. Dots: the events after which a line rose most.</p>",
        _chart(courses(scorer, history, found), titles),
        "<h2>Why these items</h2>",
        "<p>Share of each past event in the score, and of each source. Negative: it speaks against the item.</p>",
    ]
    for item in found.items:
        parts.append(f"<h3>{escape(item.title or item.item)} <small>{item.score:.3f}</small></h3>")
        if isinstance(item.why, Explanation):
            parts.append(_table(item.why))
    return "\n".join(parts) + "\n</html>\n"


def _title(scorer: Scorer, item: int) -> str:
    return scorer.served.items.titles[item] or scorer.served.items.tokens[item]


def _span(history: History) -> str:
    times = history.time[[0, -1]]
    if not (0 < times[0] < 1e11 and 0 < times[1] < 1e11):  # none, or not seconds since 1970
        return ""
    first, last = (datetime.fromtimestamp(float(time), timezone.utc).date() for time in times)
    return f", {first} to {last}"


def _chart(lines: Sequence[Course], titles: Sequence[str]) -> str:
    values = [value for line in lines for value in line.values]
    low, high = min(values), max(values)
    number = len(lines[0].values)

    def place(event: int, value: float) -> tuple[float, float]:
        x = WIDTH * (event + 0.5) / number
        return round(x, 1), round(HEIGHT - 18 - (HEIGHT - 36) * (value - low) / ((high - low) or 1), 1)

    svg = [f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='100%' role='img'>"]
    for value in (high, low):  # the scale
        y = place(0, value)[1]
        svg.append(f"<line x1='0' x2='{WIDTH}' y1='{y}' y2='{y}' stroke='#ddd'/>")
        svg.append(f"<text x='{WIDTH}' y='{y - 3}' text-anchor='end' font-size='12' fill='#777'>{value:+.2f}</text>")
    legend = []
    for line, colour in zip(lines, COLOURS, strict=False):
        points = " ".join(f"{x},{y}" for x, y in (place(*point) for point in enumerate(line.values)))
        svg.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
        drivers = []
        for event, rise in line.drivers:
            x, y = place(event, line.values[event])
            label = f"{titles[event]} ({rise:+.2f})"
            drivers.append(escape(label))
            svg.append(f"<circle cx='{x}' cy='{y}' r='4' fill='{colour}'><title>{escape(label)}</title></circle>")
        legend.append(
            f"<li><b style='color:{colour}'>{escape(line.name)}</b>, now {line.values[-1]:+.2f}; driven by "
            f"{'; '.join(drivers) or 'nothing'}</li>"
        )
    return "\n".join([*svg, "</svg>", "<ul>", *legend, "</ul>"])


def _table(why: Explanation, number: int = 8) -> str:
    strongest = sorted(why.events, key=lambda event: -abs(event.share))[:number]
    widest = max((abs(event.share) for event in strongest), default=1.0) or 1.0
    rows = [
        f"<tr><td>{escape(event.title or event.item)}</td><td>{event.share:+.1%}</td><td><span class='bar"
        f"{' neg' if event.share < 0 else ''}' style='width:{160 * abs(event.share) / widest:.0f}px'></span></td></tr>"
        for event in strongest
    ]
    sources = ", ".join(f"{escape(name)} {share:+.0%}" for name, share in why.sources.items())
    return f"<table>{''.join(rows)}</table><p>Sources: {sources} (by {escape(why.method)})</p>"
