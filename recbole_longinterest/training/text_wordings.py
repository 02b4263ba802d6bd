"""Ways to put columns of the ``.item`` file into a text: the columns, numbers as words or not, and the template."""

from collections.abc import Mapping
from dataclasses import dataclass

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.text.template import Template, TemplateError, columns_of


@dataclass(frozen=True)
class Wording:
    """How the text of an item is made.

    Attributes:
        columns: the columns, in their order in the text.
        in_words: those of them whose numbers become words, in the same order.
        template: the text around the columns; None for values alone, as with ``text_fields``.
    """

    columns: tuple[str, ...]
    in_words: tuple[str, ...] = ()
    template: str | None = None

    def __str__(self) -> str:
        """Describe the wording in a line."""
        if self.template is None:
            return ", ".join(f"{name} in words" if name in self.in_words else name for name in self.columns)
        return self.template + (f" ({', '.join(self.in_words)} in words)" if self.in_words else "")

    def __add__(self, other: "Wording") -> "Wording":
        """Return a wording with the columns of both and no template."""
        return Wording(self.columns + other.columns, self.in_words + other.in_words)

    def settings(self, numbers: Mapping[str, object]) -> dict[str, object]:
        """Return the settings ``text_*`` that make these texts.

        Args:
            numbers: rules of ``text_numbers``, with one for each column of ``in_words``.
        """
        return {
            "text_fields": None if self.template else list(self.columns),
            "text_template": self.template,
            "text_numbers": {name: numbers[name] for name in self.in_words} or None,
        }


def wording_of(config: Settings) -> Wording | None:
    """Return the wording that a config asks for; None if it has no text columns."""
    columns, _ = columns_of(config["text_fields"], config["text_template"], config["text_numbers"])
    in_words = tuple(name for name in columns if name in (config["text_numbers"] or {}))
    return Wording(tuple(columns), in_words, config["text_template"] or None) if columns else None


def with_templates(wording: Wording) -> list[Wording]:
    """Return other wordings of the same columns: all columns labelled, and one phrase.

    For the columns title, brand and price in words: ``"title: Lamp. brand: Acme. price: low price"`` and
    ``"Lamp, brand Acme, low price"``. A single column has no other wording.
    """
    if len(wording.columns) == 1:
        return []
    labels = {name: name.replace("_", " ") for name in wording.columns}
    first, *others = wording.columns
    labelled = ". ".join(f"{label}: {{{name}}}" for name, label in labels.items())
    parts = [f"{{{name}}}" if name in wording.in_words else f"{labels[name]} {{{name}}}" for name in others]
    phrase = ", ".join([f"{{{first}}}", *parts])
    return [
        Wording(wording.columns, wording.in_words, template)
        for template in (labelled, phrase)
        if _fields_of(template) == list(wording.columns)
    ]


def _fields_of(template: str) -> list[str]:
    """Columns of a template; empty if a column's name has braces and the like."""
    try:
        return Template(template).fields
    except TemplateError:
        return []
