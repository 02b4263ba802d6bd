"""The sources of raw data that ``recbole-li prepare`` knows, and how to add one.

A source is one module with a :class:`~recbole_longinterest.prepare.sources.base.RawSource`. Copy this one, a log of
``user;item;seconds`` lines, and change it::

    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from recbole_longinterest.prepare.readers.chunks import Chunk, string_array
    from recbole_longinterest.prepare.readers.files import RawFile, gather, plain_name
    from recbole_longinterest.prepare.sources.base import Advance, RawData, RawSource, Roles


    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("path", type=Path, metavar="PATH", help="the log")


    def open_log(args: argparse.Namespace) -> RawData:
        return RawData(
            label="a log",
            name=plain_name(args.path),
            roles=Roles("user", "item", "time"),
            files=gather([args.path]),
            chunks=read,
            duplicates="exact",
        )


    def read(file: RawFile, advance: Advance) -> Iterator[Chunk]:
        rows = [line.split(";") for line in file.path.read_text().splitlines()]
        users, items, times = (string_array(column) for column in zip(*rows, strict=True))
        yield Chunk(str(file), {"user": users, "item": items, "time": times}, len(rows), line_of=lambda row: row + 1)
        advance(file.size())


    SOURCE = RawSource("log", "logs of user;item;seconds", add_arguments, open_log)

``read_delimited`` and ``read_events`` in ``prepare/readers`` read large files of lines and of JSON in blocks, count
lines that are no rows, and unpack gz and zip. ``RawData.describe`` reads files of items. All else is done for every
source: checks of ids, times and ratings, filters, the report, and the files.

Then make it known, in one of two ways:

* call ``register_source(SOURCE)`` before :func:`recbole_longinterest.cli.main.main`, or
* in a package, name it in the entry point group ``recbole_longinterest.sources``::

      [project.entry-points."recbole_longinterest.sources"]
      log = "my_package.log:SOURCE"

The module of a source is imported for ``--help``. It should import pandas, pyarrow and the like in the functions that
read, as the modules in ``prepare/readers`` do.
"""

import re
from importlib import import_module
from logging import getLogger

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.sources.base import RawSource

BUILT_IN = ("movielens", "amazon", "steam", "tables")  # modules of this package
GROUP = "recbole_longinterest.sources"

_registered: dict[str, RawSource] = {}


def register_source(source: RawSource) -> None:
    """Make a source known to ``recbole-li prepare``.

    Raises:
        ValueError: for a name that cannot be a word of the command line, or that another source has.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", source.name):
        raise LongInterestError(
            f"The name of a source must be small letters, digits and dashes; got {source.name!r}. Give another name."
        )
    if {**_built_in(), **_registered}.get(source.name, source) is not source:
        raise LongInterestError(f"There is a source {source.name} already. Give another name.")
    _registered[source.name] = source


def unregister_source(name: str) -> None:
    """Forget a source that :func:`register_source` has made known."""
    _registered.pop(name, None)


def known_sources() -> dict[str, RawSource]:
    """All sources by name: built-in ones, those of installed packages, and those registered by code.

    A package whose source cannot be loaded is named in a warning, and the others work.
    """
    from importlib.metadata import entry_points  # 0.1 s, which only the command prepare pays

    for entry in entry_points(group=GROUP):
        try:
            register_source(entry.load())
        except Exception as error:  # whatever the code of another package raises
            getLogger().warning(f"The source {entry.name} of {entry.value} cannot be used: {error}")
    return _built_in() | _registered


def _built_in() -> dict[str, RawSource]:
    modules = (import_module(f"recbole_longinterest.prepare.sources.{name}") for name in BUILT_IN)
    return {module.SOURCE.name: module.SOURCE for module in modules}
