"""Make an item's text from several columns by a template such as ``"{title} by {brand}"``."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Formatter

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.text.numbers import NumberWords
from recbole_longinterest.text.reader import SENTENCE_ENDS, sentences

Join = Callable[[Sequence[str]], str]
"""Makes a text of the values of its columns, "" for an empty one."""

# Splits the text between two columns into three parts: the end of the left column, the separator, and the start of the
# right column with its label. Example: `)`, ` . `, `Brand: (`.
BETWEEN = re.compile(
    r"(?P<closes>[)\]}»”’]*)(?P<separates>.*?)(?P<opens>(?:\w[\w ]*[:：]\s*)?[(\[{«“‘]*)",  # noqa: RUF001
    re.DOTALL,
)


class TemplateError(LongInterestError):
    """``text_template`` is wrong."""


@dataclass(frozen=True)
class _Part:
    """A column of a template, with the separator before it and the texts that enclose it."""

    separates: str
    opens: str
    field: str
    closes: str


class Template:
    """Fill values into a text, and leave out the parts that belong to empty columns.

    A separator is kept only between two columns that have values. Brackets, and a label that ends with a colon, belong
    to their column. So ``"{title} ({year}). Brand: {brand}"`` can become ``"Heat. Brand: X"``, ``"Heat (1995)"`` or
    ``"Heat"``.

    Args:
        text: the template; write ``{{`` and ``}}`` for braces.

    Raises:
        TemplateError: (a ValueError) if it is not a text with at least one ``{column}``.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise _wrong(text)
        try:
            pieces = list(Formatter().parse(text))
        except ValueError as error:
            raise _wrong(text) from error
        if any(field is not None and (not field or spec or conversion) for _, field, spec, conversion in pieces):
            raise _wrong(text)
        parts: list[_Part] = []
        literal = ""
        for before, field, _, _ in pieces:
            literal += before
            if field is not None:
                closes, separates, opens = _split(literal)
                if parts:
                    parts[-1] = _Part(parts[-1].separates, parts[-1].opens, parts[-1].field, closes)
                else:
                    separates = closes + separates
                parts.append(_Part(separates, opens, field, ""))
                literal = ""
        if not parts:
            raise _wrong(text)
        closes, separates, opens = _split(literal)
        parts[-1] = _Part(parts[-1].separates, parts[-1].opens, parts[-1].field, closes)
        self._parts = parts
        self._end = separates + opens

    @property
    def fields(self) -> list[str]:
        """Columns in order; a column may occur twice."""
        return [part.field for part in self._parts]

    def fill(self, values: Sequence[str]) -> str:
        """Make a text from the columns' values.

        Args:
            values: one value for each of :attr:`fields`, "" for an empty one.

        Returns:
            The text; "" if all values are empty.
        """
        text = ""
        for place, (part, value) in enumerate(zip(self._parts, values, strict=True)):
            if not value:
                continue
            separates = part.separates if text or place == 0 else ""
            if text.endswith(SENTENCE_ENDS) and separates.startswith("."):
                separates = separates[1:]  # no second full stop
            text += separates + part.opens + value + part.closes
        if not text:
            return ""
        head = "" if values[0] else self._parts[0].separates
        end = self._end[1:] if text.endswith(SENTENCE_ENDS) and self._end.startswith(".") else self._end
        return (head + text + end).strip()


def columns_of(
    text_fields: str | Sequence[str] | None, text_template: str | None, text_numbers: object = None
) -> tuple[list[str], Join | None]:
    """Return the columns of an item's text, and the function that joins their values, if it is not the usual one.

    Args:
        text_fields: one or several columns; None or "" for no column.
        text_template: a template; its columns replace ``text_fields``.
        text_numbers: rules that make words of numbers, see :class:`~recbole_longinterest.text.numbers.NumberWords`.

    Raises:
        TemplateError: if the template is wrong.
        LongInterestError: if a rule is wrong.
    """
    columns = [text_fields] if text_fields and isinstance(text_fields, str) else list(text_fields or [])
    join: Join | None = None
    if text_template:
        template = Template(text_template)
        columns, join = template.fields, template.fill
    numbers = NumberWords(text_numbers)
    if not set(columns) & set(numbers.columns):
        return columns, join

    def with_words(values: Sequence[str]) -> str:
        return (join or sentences)([numbers.replace(*pair) for pair in zip(columns, values, strict=True)])

    return columns, with_words


def _split(literal: str) -> tuple[str, str, str]:
    """Split the text between two columns by :data:`BETWEEN`."""
    found = BETWEEN.fullmatch(literal)
    assert found is not None  # every part of the pattern may be empty
    return found["closes"], found["separates"], found["opens"]


def _wrong(text: object) -> TemplateError:
    return TemplateError(
        "text_template must be text with columns of the .item file in braces, such as '{title} by {brand}'; got "
        f"{text!r}. Set it in a config file or on the command line."
    )
