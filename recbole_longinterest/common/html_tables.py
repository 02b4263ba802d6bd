"""Small HTML tables for notebooks; all text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from recbole_longinterest.common.printable import printable


def table_of(said: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a line of text and a table as HTML.

    Args:
        said: the line of text.
        head: column names.
        rows: cells; floats are shown with three decimals.
    """
    top = "".join(f"<th>{_cell(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<p>{_cell(said)}</p><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return escape(printable(f"{value:.3f}" if isinstance(value, float) else value))
