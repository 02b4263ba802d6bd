"""Collect item texts and numbers by item id; the first non-empty value of each item is kept."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recbole_longinterest.prepare.cleaning.escaping import MAX_TEXT, cut_text, safe_id, safe_text, text_cell
from recbole_longinterest.prepare.cleaning.missing_values import ONLY_EMPTY, is_missing
from recbole_longinterest.prepare.item_lists import (
    MARK,
    POSSIBLE,
    as_list,
    find_separator,
    is_category,
    joined_list,
    list_of,
    split_values,
)

TEXT, TOKEN, NUMBER = "token_seq", "token", "float"
LIST = "list"  # of tokens, written as token_seq
TITLE, FOUND, CATEGORY = "title", "found", "category"  # replaced by a final kind once all values are known
LISTS = frozenset({LIST, FOUND, CATEGORY})  # whose values may be lists
LIST_SEPARATORS = ("|", ";", "\u00a6", "\u2016")  # the first that occurs in no value is used
NO_SEPARATOR = "none"
CUT = f"texts longer than {MAX_TEXT:,} characters, cut"
AGAIN = "repeated descriptions of items, ignored"


@dataclass
class Catalogue:
    """Item fields and their values.

    Attributes:
        kinds: field -> ``TEXT``, ``TOKEN``, ``NUMBER`` or ``LIST``. Until :meth:`settle` also ``TITLE`` (the first text
            column), ``FOUND`` (another text column) and ``CATEGORY`` (declared as one); :meth:`settle` decides their
            kind from the values.
        values: field -> item id -> non-empty value; a list is stored as :func:`joined_list`.
        changed: counts of changes made to values.
        wanted: items to keep, None for all.
        known: items that were described.
        missing: words that mean a missing value, in lower case.
        missing_found: field -> counts of such words, as written.
        separator: separator of list values in the atomic file.
        found: field -> description of its values, for the report.
    """

    kinds: Mapping[str, str]
    wanted: Iterable[str] | None = None
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    missing: frozenset[str] = ONLY_EMPTY
    missing_found: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    separator: str = " "
    found: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kinds = dict(self.kinds)
        self.values = {name: {} for name in self.kinds}
        self.wanted = None if self.wanted is None else set(self.wanted)

    def wants(self, raw_id: str | None) -> str | None:
        """Return the item's id for the files if the item is wanted and not described yet; else None."""
        if not raw_id or is_missing(raw_id, self.missing | ONLY_EMPTY):
            return None
        item = safe_id(raw_id)
        if self.wanted is not None and item not in self.wanted:
            return None
        if item in self.known:
            self.changed[AGAIN] += 1
            return None
        return item

    def describe(self, item: str, values: Mapping[str, str | Sequence[str]]) -> None:
        """Store the values of an item that :meth:`wants` accepted."""
        self.known.add(item)
        for name, value in values.items():
            self.fill(name, item, value)

    def fill(self, name: str, item: str, value: str | Sequence[str] | None) -> None:
        """Store a text or the parts of a list as the value of a field, unless the item has a value already."""
        if item in self.values[name] or not value:
            return
        kind, parts = self.kinds[name], None if isinstance(value, str) else value
        if isinstance(value, str) and value.startswith(MARK):
            parts = list_of(value)
        elif isinstance(value, str) and kind in LISTS:
            parts = as_list(value)
        if parts is not None and kind in (TEXT, TOKEN, NUMBER):
            value, parts = " ".join(parts), None
        if parts is None:
            text = safe_text(str(value))
            if is_missing(text, self.missing):
                if text:
                    self.missing_found[name][text] += 1
                return
        else:
            text = joined_list(part for part in map(safe_text, parts) if not is_missing(part, self.missing))
        if not text:
            return
        if len(text) > MAX_TEXT:
            self.changed[CUT] += 1
            text = text[:MAX_TEXT].rpartition(MARK)[0] if text.startswith(MARK) else cut_text(text)
        self.values[name][item] = text

    def settle(self, separator: str | None = None) -> None:
        """Decide from the values which fields are lists, and choose the list separator of the atomic file.

        Args:
            separator: list separator in the raw files; None to detect it, ``NO_SEPARATOR`` for no lists.
        """
        kinds = dict(self.kinds)
        declared = CATEGORY in kinds.values()
        for name, kind in self.kinds.items():
            values = self.values[name]
            if kind == TITLE and not is_category(name, list(values.values())):
                kinds[name] = TEXT
                values.update({item: " ".join(list_of(value)) for item, value in values.items() if MARK in value})
            elif kind in (TITLE, FOUND, CATEGORY):
                kinds[name], self.found[name] = self._single_or_list(
                    name, kind == CATEGORY, separator if kind == CATEGORY or not declared else None
                )
        self.kinds = kinds
        lists = [name for name, kind in kinds.items() if kind == LIST]
        if any(" " in value for name in lists for value in self.values[name].values()):
            held = [
                value for name, kind in kinds.items() if kind in (LIST, TEXT) for value in self.values[name].values()
            ]
            free = (mark for mark in LIST_SEPARATORS if not any(mark in value for value in held))
            self.separator = next(free, LIST_SEPARATORS[0])

    def _single_or_list(self, name: str, declared: bool, separator: str | None) -> tuple[str, str]:
        values = self.values[name]
        if self.kinds[name] == TITLE:  # not yet searched for lists
            for item, value in values.items():
                parts = as_list(value)
                values[item] = value if parts is None else joined_list(map(safe_text, parts))
        if separator is None:
            separator = find_separator(values.values(), declared)
        elif separator == NO_SEPARATOR or not any(separator in value for value in values.values()):
            separator = None
        has_lists = any(value.startswith(MARK) for value in values.values())
        if separator is not None:
            split_values(values, separator, lambda part: is_missing(part, self.missing))
            return LIST, f"lists, separated by {separator!r}"
        if has_lists:
            return LIST, "lists"
        held = [mark for mark in POSSIBLE if any(mark in value for value in values.values())]
        hint = f"; some hold {' '.join(held)}: if they are lists, name it with --category-separator" if held else ""
        return TOKEN, f"one value per item{hint}"

    def coverage(self, items: Iterable[str]) -> dict[str, float]:
        """Return, for each field, the share of the given items that have a value."""
        items = list(items)
        return {
            name: sum(item in values for item in items) / max(len(items), 1) for name, values in self.values.items()
        }

    def header(self) -> list[str]:
        """Return the columns ``name:type`` for the header of the atomic file."""
        return [f"{name}:{TEXT if kind == LIST else kind}" for name, kind in self.kinds.items()]

    def cells(self, item: str) -> list[str]:
        """Return an item's cells for the atomic file, in field order."""
        cells = []
        for name, kind in self.kinds.items():
            value = self.values[name].get(item, "")
            if self.separator != " " and kind in (TEXT, LIST):
                value = value.replace(self.separator, "/")  # only if every separator occurs in a value
            if kind == LIST:
                value = self.separator.join(list_of(value))
            cells.append(value if kind == NUMBER else text_cell(value))
        return cells
