"""What the prepare command needs to know of a site's files; one module for each dialect makes it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recbole_longinterest.prepare.catalogue import Catalogue
from recbole_longinterest.prepare.events import Roles
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally
from recbole_longinterest.prepare.readers.files import Source

Advance = Callable[[int], object]


def _describes_nothing(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
    pass


@dataclass(frozen=True)
class Dialect:
    """Some files, and how they are read.

    Attributes:
        label: what the files are, for the report.
        name: of the data set unless the user gives one.
        roles: columns of the chunks that hold user, item, time, rating, behaviour.
        sources: files of events.
        chunks: reads one of them; its second argument is told of stored bytes that were read.
        duplicates: the rule unless the user gives one, a key of ``filters.DUPLICATES``.
        kinds: fields of the items -> type in the atomic file.
        item_sources: files of items.
        describe: reads them into a catalogue.
        text_columns: columns of the chunks that are fields of the item.
        text_fields: fields that make an item's text, in order.
        notes: what else the report says.
    """

    label: str
    name: str
    roles: Roles
    sources: list[Source]
    chunks: Callable[[Source, Advance], Iterator[Chunk]]
    duplicates: str
    kinds: Mapping[str, str] = field(default_factory=dict)
    item_sources: list[Source] = field(default_factory=list)
    describe: Callable[[Catalogue, Tally, Advance], Any] = _describes_nothing
    text_columns: tuple[str, ...] = ()
    text_fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
