"""A small table as HTML, for notebooks; every text in it is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from recbole_longinterest.common.printable import printable


def table_of(said: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The table, under a line of text.

    Args:
        said: the line.
        head: names of the columns.
        rows: cells; numbers with a fraction are shown with three digits.
    """
    top = "".join(f"<th>{_cell(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<p>{_cell(said)}</p><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return escape(printable(f"{value:.3f}" if isinstance(value, float) else value))
