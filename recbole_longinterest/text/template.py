"""An item's text from several columns by a template: ``"{title} by {brand}"``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.text.reader import SENTENCE_ENDS

# What stands between two columns: what closes the left one, what separates, and what opens the right one, such as
# its label: `) . Brand: (`.
BETWEEN = re.compile(
    r"(?P<closes>[)\]}»”’]*)(?P<separates>.*?)(?P<opens>(?:\w[\w ]*[:：]\s*)?[(\[{«“‘]*)",  # noqa: RUF001
    re.DOTALL,
)


class TemplateError(LongInterestError):
    """A template that names no column, or more than a column."""


@dataclass(frozen=True)
class _Part:
    """A column of a template: what separates it from the part before, and what goes with it alone."""

    separates: str
    opens: str
    field: str
    closes: str


class Template:
    """Fills columns into a text and leaves out what belongs to those that are empty.

    What separates two columns stands only between two that are there. A label up to a colon and brackets go with their
    own column: of ``"{title} ({year}). Brand: {brand}"`` remain ``"Heat. Brand: X"``, ``"Heat (1995)"``, ``"Heat"``.

    Args:
        text: the template; ``{{`` and ``}}`` are braces.

    Raises:
        TemplateError: (a ValueError) if it is not text around ``{column}``.
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
        """Columns in order; one may stand twice."""
        return [part.field for part in self._parts]

    def fill(self, values: Sequence[str]) -> str:
        """A text from the columns' values.

        Args:
            values: a value for each of :attr:`fields`, "" for none.

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


def columns_of(text_fields: str | Sequence[str] | None, text_template: str | None) -> tuple[list[str], Template | None]:
    """Columns that an item's text is made of, and the template that makes it; no template joins them.

    Args:
        text_fields: a column, or some; None and "" are none.
        text_template: has its own columns, which are taken.

    Raises:
        TemplateError: for a template that cannot be read.
    """
    if text_template:
        template = Template(text_template)
        return template.fields, template
    return [text_fields] if text_fields and isinstance(text_fields, str) else list(text_fields or []), None


def _split(literal: str) -> tuple[str, str, str]:
    """What closes the column before, what separates, what opens the column after."""
    found = BETWEEN.fullmatch(literal)
    assert found is not None  # every part of the pattern may be empty
    return found["closes"], found["separates"], found["opens"]


def _wrong(text: object) -> TemplateError:
    return TemplateError(
        "text_template must be text with columns of the .item file in braces, such as '{title} by {brand}'; got "
        f"{text!r}. Set it in a config file or on the command line."
    )
