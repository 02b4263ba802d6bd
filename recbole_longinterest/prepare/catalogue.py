"""What is known of the items: texts and numbers by item id, the first of every item that is not empty."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from recbole_longinterest.prepare.cleaning.escaping import MAX_TEXT, cut_text, safe_id, safe_text, text_cell

TEXT, TOKEN, NUMBER = "token_seq", "token", "float"
CUT = f"texts longer than {MAX_TEXT:,} characters, cut"
AGAIN = "items described again, whose first description counts"


@dataclass
class Catalogue:
    """Fields of the items.

    Attributes:
        kinds: field -> type in the atomic file: ``token_seq`` for texts, ``token``, ``float``.
        values: field -> item id -> value, not empty.
        changed: what was done to values, counted.
        wanted: items to keep, None for all.
        known: items that were described.
    """

    kinds: Mapping[str, str]
    wanted: Iterable[str] | None = None
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.values = {name: {} for name in self.kinds}
        self.wanted = None if self.wanted is None else set(self.wanted)

    def wants(self, raw_id: str | None) -> str | None:
        """The id as the files hold it, if the item is one to keep and not described yet; else None."""
        if not raw_id or not raw_id.strip():
            return None
        item = safe_id(raw_id)
        if self.wanted is not None and item not in self.wanted:
            return None
        if item in self.known:
            self.changed[AGAIN] += 1
            return None
        return item

    def describe(self, item: str, values: Mapping[str, str]) -> None:
        """Take the values of an item that :meth:`wants` has let through."""
        self.known.add(item)
        for name, value in values.items():
            self.fill(name, item, value)

    def fill(self, name: str, item: str, value: str | None) -> None:
        """Take a value for a field of an item that has none yet."""
        text = safe_text(value or "")
        if not text or item in self.values[name]:
            return
        if len(text) > MAX_TEXT:
            self.changed[CUT] += 1
            text = cut_text(text)
        self.values[name][item] = text

    def coverage(self, items: Iterable[str]) -> dict[str, float]:
        """Share of some items that have each field."""
        items = list(items)
        return {
            name: sum(item in values for item in items) / max(len(items), 1) for name, values in self.values.items()
        }

    def cells(self, item: str) -> list[str]:
        """An item's cells of the atomic file, in the order of the fields."""
        cells = []
        for name, kind in self.kinds.items():
            value = self.values[name].get(item, "")
            cells.append(text_cell(value) if kind == TEXT else value)
        return cells
