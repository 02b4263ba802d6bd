"""The only writer of prepared data sets: all files are finished under other names before one of them has its own."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from tqdm import tqdm

from recbole_longinterest.data.prepare.catalogue import Catalogue
from recbole_longinterest.data.prepare.events import Events
from recbole_longinterest.data.prepare.times import decimals_of, in_seconds

ROWS = 1_000_000  # rows written at once
CONFIGS = "dataset_configs"  # folder of the yaml files beside the data sets'
REPORT = "prepare.json"


def reserved_names() -> frozenset[str]:
    """Names that mean data of RecBole: bundled with it or downloaded by it."""
    folder = files("recbole") / "properties" / "dataset"
    names = {Path(entry.name).stem for entry in folder.iterdir()} | {CONFIGS}
    for entry in ("url.yaml", "kg_url.yaml"):
        names |= set(yaml.safe_load((folder / entry).read_text(encoding="utf-8")))
    return frozenset(map(str, names))


def check_name(name: str, given: bool) -> None:
    """Whether a data set may have a name.

    Args:
        name: of the data set.
        given: the user gave it, so that it may mean data of RecBole.

    Raises:
        ValueError: for a name that may not.
    """
    if not name.strip(".") or any(not (c.isascii() and (c.isalnum() or c in "._-")) for c in name) or name == CONFIGS:
        raise ValueError(
            f"A name has letters, digits, dots, dashes and underscores, and is not {CONFIGS}; got {name!r}."
        )
    if not given and name in reserved_names():
        raise ValueError(
            f"{name} means data that RecBole bundles or downloads. Give another name, as --name my-{name}, or "
            f"--name {name} if this one is meant."
        )


def write_data_set(
    folder: Path, name: str, events: Events, catalogue: Catalogue, report: Mapping[str, Any], config: str, shown: bool
) -> list[Path]:
    """Write all files of a data set, or none.

    Args:
        folder: above the data set's folder.
        name: of the data set.
        events: the log.
        catalogue: fields of the items.
        report: content of ``prepare.json``.
        config: content of the yaml file.
        shown: show a progress bar.

    Returns:
        The files.

    Raises:
        ValueError: if the disk does not take them.
    """
    targets = {
        folder / name / f"{name}.inter": lambda file: _write_inter(file, events, shown),
        folder / name / REPORT: lambda file: file.write(f"{json.dumps(report, indent=2)}\n".encode()),
        folder / CONFIGS / f"{name}.yaml": lambda file: file.write(config.encode()),
    }
    if catalogue.kinds:
        targets[folder / name / f"{name}.item"] = lambda file: _write_item(file, events, catalogue)
    with _scratch(folder, name) as scratch:
        for at, write in enumerate(targets.values()):
            with (scratch / str(at)).open("wb") as file:
                write(file)
        for at, target in enumerate(targets):
            target.parent.mkdir(parents=True, exist_ok=True)
            (scratch / str(at)).replace(target)
    stale = folder / name / f"{name}.item"
    if stale not in targets:
        stale.unlink(missing_ok=True)  # of an earlier data set of this name, whose items these are not
    return list(targets)


@contextmanager
def _scratch(folder: Path, name: str) -> Iterator[Path]:
    """A folder for unfinished files on the disk of the finished ones; gone in the end, whatever happens."""
    scratch = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
        yield scratch
    except OSError as error:
        raise ValueError(f"{folder} cannot be written: {error}. Nothing of the new data set is left there.") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _write_inter(file: IO[bytes], events: Events, shown: bool) -> None:
    """The log, in the order of the files that it was read from."""
    columns = ["user_id:token", "item_id:token"]
    columns += ["rating:float"] * (events.rating is not None) + ["timestamp:float"]
    columns += ["behavior:token"] * (events.behavior is not None)
    file.write(("\t".join(columns) + "\n").encode())
    decimals = decimals_of(events.time)
    with tqdm(total=len(events), desc="writing", unit="row", unit_scale=True, disable=not shown) as bar:
        for start in range(0, len(events), ROWS):
            part = slice(start, start + ROWS)
            cells = [events.users.take(pa.array(events.user[part])), events.items.take(pa.array(events.item[part]))]
            if events.rating is not None:
                ratings = events.rating[part]
                cells.append(pa.array(ratings, mask=np.isnan(ratings)).cast(pa.large_string()))
            cells.append(in_seconds(events.time[part], decimals))
            if events.behavior is not None:
                codes = events.behavior[part]
                cells.append(events.behaviors.take(pa.array(codes, mask=codes < 0)))
            _write_rows(file, cells)
            bar.update(len(cells[0]))


def _write_rows(file: IO[bytes], cells: Sequence[Any]) -> None:
    tab, end = (pa.scalar(text, pa.large_string()) for text in "\t\n")
    lines = pc.binary_join_element_wise(*cells, tab, null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(lines, pa.scalar("", pa.large_string()), end)
    file.write(lines.buffers()[2][: pc.sum(pc.binary_length(lines)).as_py()])


def _write_item(file: IO[bytes], events: Events, catalogue: Catalogue) -> None:
    """A row for every item of the log and for no other: RecBole drops the events of an item without one."""
    head = ["item_id:token", *(f"{name}:{kind}" for name, kind in catalogue.kinds.items())]
    file.write(("\t".join(head) + "\n").encode())
    for item in item_ids(events):
        file.write(("\t".join([item, *catalogue.cells(item)]) + "\n").encode())


def item_ids(events: Events) -> list[str]:
    """Ids of the items of the log, in the order in which they were met."""
    present: list[str] = events.items.take(pa.array(np.unique(events.item))).to_pylist()
    return present
