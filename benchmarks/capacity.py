"""The table of capacity in docs/service.md, from the figures of benchmarks/service.py.

    uv run benchmarks/capacity.py --service DIR/service.csv --price 0.04 [--write docs/service.md]

Prints the table, or writes it between its two marks. A figure that the file does not have is "not measured yet".
"""

import csv
import re
from pathlib import Path

from common import make_parser, say

MISSING = "not measured yet"
LOADED = 0.25  # of the highest rate: the rest is for peaks
ASKED = 20  # requests of a user a day
MARKS = "<!-- capacity -->", "<!-- /capacity -->"


def main() -> None:
    """Make the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--service", type=Path, required=True, metavar="FILE", help="service.csv of one run")
    parser.add_argument("--price", type=float, required=True, help="of a core an hour")
    parser.add_argument("--write", type=Path, metavar="FILE", help="with the marks of the table")
    args = parser.parse_args()
    with args.service.open(encoding="utf-8", newline="") as file:
        table = table_of({row["what"]: (float(row["value"]), row["unit"]) for row in csv.DictReader(file)}, args.price)
    if args.write is None:
        say(table)
        return
    text = args.write.read_text(encoding="utf-8")
    begin, end = MARKS
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"{args.write} has no place for the table, which is between {begin} and {end}.")
    head, rest = text.split(begin)
    args.write.write_text(f"{head}{begin}\n{table}{end}{rest.split(end)[1]}", encoding="utf-8")


def table_of(figures: dict[str, tuple[float, str]], price: float) -> str:
    """The table as Markdown.

    Args:
        figures: value and unit by what was measured.
        price: of a core an hour.
    """
    rate = _found(figures, r"LongInterest, as fast as it can", "requests/s")
    states = next(
        (re.fullmatch(r"memory of (\d+) users' states", what) for what in figures if "users' states" in what), None
    )
    memory = None if states is None else figures[states[0]][0] / int(states[1]) * 1e6 / 1024
    rows = [
        ("recommendations a second of a core", _shown(rate, "{:,.0f}")),
        ("events a second, SQLite", _shown(_found(figures, r"sqlite, 100 a request", "events/s"), "{:,.0f}")),
        ("events a second, PostgreSQL", _shown(_found(figures, r"postgresql, 100 a request", "events/s"), "{:,.0f}")),
        ("memory of a process", _shown(_found(figures, r"memory before", "MiB"), "{:,.0f} MiB")),
        ("memory of 1,000,000 users' states", _shown(memory, "{:,.1f} GiB")),
        (
            f"users of a core, each with {ASKED} requests a day, at a quarter of its rate",
            _shown(None if rate is None else rate * LOADED * 86_400 / ASKED, "{:,.0f}"),
        ),
        (
            "cost of 1,000,000 recommendations, at a quarter of its rate",
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
