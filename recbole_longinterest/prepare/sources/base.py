"""The interface of a source of raw data, and of the files that it finds."""

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
"""Called with the number of stored bytes read, for the progress bar."""


def _describes_nothing(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
    pass


@dataclass(frozen=True)
class RawData:
    """Raw files that were found, and how to read them.

    Attributes:
        label: description of the files, for the report.
        name: default name of the data set.
        roles: columns of the chunks with user, item, time, rating, behaviour.
        files: event files.
        chunks: function that reads an event file. Its second argument is an :data:`Advance`.
        duplicates: default rule for duplicate events, a key of ``duplicates.DUPLICATES``.
        kinds: item field -> type in the atomic file (``catalogue.TEXT``, ``TOKEN``, ``LIST`` ...).
        item_files: item files.
        describe: function that reads the item files into a catalogue.
        text_columns: columns of the chunks that are item fields.
        text_fields: fields that make an item's text, in order.
        category_field: field of the categories, for an export; None to let the export find it.
        notes: notes for the report.
        list_separator: separator of list values in item columns; None to detect it, ``catalogue.NO_SEPARATOR`` for no
            lists.
        missing: words that mean a missing value in texts, in lower case; events use those of their chunks.
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
        name: name on the command line: lower-case letters, digits and dashes.
        summary: one line for ``--help``, without a full stop.
        add_arguments: adds the source's own arguments to the parser, which already has the common ones, such as
            ``--name``, ``--output`` and ``--encoding``.
        open: finds the files from the source's own arguments and ``encoding``; raises a ``LongInterestError`` on
            failure.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    open: Callable[[argparse.Namespace], RawData]
