"""Registry of the raw data sources of ``recbole-li prepare``, and how to add one.

A source is a module with a :class:`~recbole_longinterest.prepare.sources.base.RawSource`. To write one, copy and change
this example for logs of ``user;item;seconds`` lines::

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

``read_delimited`` and ``read_events`` in ``prepare/readers`` read large delimited and JSON files in blocks, count bad
lines, and unpack gz and zip. ``RawData.describe`` reads item files. Everything else is shared by all sources: checks of
ids, times and ratings, filters, the report, and the output files.

Then register it in one of two ways:

* call ``register_source(SOURCE)`` before :func:`recbole_longinterest.cli.main.main`, or
* in a package, name it in the entry point group ``recbole_longinterest.sources``::

      [project.entry-points."recbole_longinterest.sources"]
      log = "my_package.log:SOURCE"

``--help`` imports the module of every source. So it should import slow packages such as pandas and pyarrow only inside
the functions that read, like the modules in ``prepare/readers``.
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
    """Register a source for ``recbole-li prepare``.

    Raises:
        ValueError: for a name that is not valid on the command line, or that is taken.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", source.name):
        raise LongInterestError(
            f"The name of a source must have only lower-case letters, digits and dashes; got {source.name!r}. Give "
            "another name."
        )
    if {**_built_in(), **_registered}.get(source.name, source) is not source:
        raise LongInterestError(f"A source named {source.name} already exists. Give another name.")
    _registered[source.name] = source


def unregister_source(name: str) -> None:
    """Remove a source added by :func:`register_source`."""
    _registered.pop(name, None)


def known_sources() -> dict[str, RawSource]:
    """Return all sources by name: built-in ones, those of installed packages, and those registered by code.

    A source that cannot be loaded is skipped with a warning.
    """
    from importlib.metadata import entry_points  # late: the import takes 0.1 s

    for entry in entry_points(group=GROUP):
        try:
            register_source(entry.load())
        except Exception as error:  # whatever the code of another package raises
            getLogger().warning(f"The source {entry.name} of {entry.value} cannot be used: {error}")
    return _built_in() | _registered


def _built_in() -> dict[str, RawSource]:
    modules = (import_module(f"recbole_longinterest.prepare.sources.{name}") for name in BUILT_IN)
    return {module.SOURCE.name: module.SOURCE for module in modules}
