"""What a source of raw data says of itself, and of the files that it has found."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from recbole_longinterest.prepare.catalogue import Catalogue
from recbole_longinterest.prepare.cleaning.missing_values import ONLY_EMPTY
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally
from recbole_longinterest.prepare.readers.files import RawFile
from recbole_longinterest.prepare.roles import Roles

__all__ = ["Advance", "RawData", "RawSource", "Roles"]

Advance = Callable[[int], object]
"""Is called with the number of stored bytes that were read, for the progress bar."""


def _describes_nothing(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
    pass


@dataclass(frozen=True)
class RawData:
    """Raw files that were found, and how they are read.

    Attributes:
        label: what the files are, for the report.
        name: of the data set unless the user gives one.
        roles: columns of the chunks that hold user, item, time, rating, behaviour.
        files: files of events.
        chunks: reads one of them. Its second argument is an :data:`Advance`.
        duplicates: the rule unless the user gives one, a key of ``duplicates.DUPLICATES``.
        kinds: fields of the items -> type in the atomic file (``catalogue.TEXT``, ``TOKEN``, ``LIST`` ...).
        item_files: files of items.
        describe: reads them into a catalogue.
        text_columns: columns of the chunks that are fields of the item.
        text_fields: fields that make an item's text, in order.
        category_field: field of the categories, for an export; None for what the export finds.
        notes: what else the report says.
        list_separator: between the values of lists in the columns of items; None to find it,
            ``catalogue.NO_SEPARATOR`` where nothing is a list.
        missing: words that stand for no value in texts, in lower case; events have those of their chunks.
    """

    label: str
    name: str
    roles: Roles
    files: list[RawFile]
    chunks: Callable[[RawFile, Advance], Iterator[Chunk]]
    duplicates: str
    kinds: Mapping[str, str] = field(default_factory=dict)
    item_files: list[RawFile] = field(default_factory=list)
    describe: Callable[[Catalogue, Tally, Advance], object] = _describes_nothing
    text_columns: tuple[str, ...] = ()
    text_fields: tuple[str, ...] = ()
    category_field: str | None = None
    notes: tuple[str, ...] = ()
    list_separator: str | None = None
    missing: frozenset[str] = ONLY_EMPTY


@dataclass(frozen=True)
class RawSource:
    """A kind of raw files: ``recbole-li prepare NAME ...``.

    Attributes:
        name: the word on the command line: small letters, digits and dashes.
        summary: one line for ``--help``, without a full stop.
        add_arguments: adds the source's own arguments to the parser, which has those of every source already, such as
            ``--name``, ``--output`` and ``--encoding``.
        open: finds the files that the arguments name: the source's own, and ``encoding``. It raises a
            ``LongInterestError`` if it cannot.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    open: Callable[[argparse.Namespace], RawData]
