"""Make the capacity table of docs/service.md from the figures of benchmarks/service.py.

    uv run benchmarks/capacity.py --service DIR/service.csv --price 0.04 [--write docs/service.md]

Prints the table, or writes it between its two marks. Missing figures are "not measured yet".
"""

import csv
import re
from pathlib import Path

from common import make_parser, say, write_between

MISSING = "not measured yet"
LOADED = 0.25  # load as a share of the highest rate; the rest is reserve for peaks
ASKED = 20  # requests per user and day
MARKS = "<!-- capacity -->", "<!-- /capacity -->"


def main() -> None:
    """Make the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--service", type=Path, required=True, metavar="FILE", help="service.csv of one run")
    parser.add_argument("--price", type=float, required=True, help="price of a core per hour")
    parser.add_argument("--write", type=Path, metavar="FILE", help="file with the marks of the table")
    args = parser.parse_args()
    with args.service.open(encoding="utf-8", newline="") as file:
        table = table_of(
            {row["figure"]: (float(row["value"]), row["unit"]) for row in csv.DictReader(file)}, args.price
        )
    if args.write is None:
        say(table)
        return
    write_between(args.write, MARKS, table)


def table_of(figures: dict[str, tuple[float, str]], price: float) -> str:
    """Render the table as Markdown.

    Args:
        figures: value and unit by name of the measurement.
        price: price of a core per hour.
    """
    rate = _found(figures, r"LongInterest, [\d,]+ items: recommendations, rate", "a second")
    stored = r"[\d,]+ users with states in the store: "
    before = _found(figures, stored + "memory of the process after its start", "MiB")
    held = next(
        (found for name in figures if (found := re.fullmatch(stored + r"memory with ([\d,]+) states held", name))), None
    )
    full = None if held is None else figures[held[0]][0]
    state = None if before is None or full is None else (full - before) / int(held[1].replace(",", ""))
    durable = {
        name: _found(figures, rf"{name}, 100 events a request: acknowledged and durable, rate", "events a second")
        for name in ("SQLite", "PostgreSQL")
    }
    rows = [
        ("recommendations per second and core", _shown(rate, "{:,.0f}")),
        *((f"stored events per second, {name}", _shown(value, "{:,.0f}")) for name, value in durable.items()),
        ("memory of a process after its start", _shown(before, "{:,.0f} MiB")),
        ("memory of 1,000,000 users' states", _shown(None if state is None else state * 1e6 / 1024, "{:,.1f} GiB")),
        (
            f"users per core, with {ASKED} requests per user and day, at a quarter of the rate",
            _shown(None if rate is None else rate * LOADED * 86_400 / ASKED, "{:,.0f}"),
        ),
        (
            "cost of 1,000,000 recommendations, at a quarter of the rate",
            _shown(None if rate is None else 1e6 / (rate * LOADED) / 3600 * price, "{:,.3f}"),
        ),
    ]
    return "| what | figure |\n|---|---|\n" + "".join(f"| {what} | {figure} |\n" for what, figure in rows)


def _found(figures: dict[str, tuple[float, str]], what: str, unit: str) -> float | None:
    return next((value for name, (value, of) in figures.items() if re.fullmatch(what, name) and of == unit), None)


def _shown(value: float | None, form: str) -> str:
    return MISSING if value is None else form.format(value)


if __name__ == "__main__":
    main()
