"""The only writer of prepared data sets: all files are finished under other names before one of them has its own."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from tqdm import tqdm

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import put_in_place, sync
from recbole_longinterest.prepare.catalogue import Catalogue
from recbole_longinterest.prepare.cleaning.times import decimals_of, in_seconds
from recbole_longinterest.prepare.events import Events

ROWS = 1_000_000  # rows written at once
CONFIGS = "dataset_configs"  # folder of the yaml files beside the data sets'
REPORT = "prepare.json"
PLOTS = "plots"
MAX_NAME = 100  # characters; files have a suffix besides, and file systems end at 255


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
    fits = re.fullmatch(rf"[A-Za-z0-9._][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}", name) and name.strip(".")
    if not fits or name == CONFIGS:
        raise LongInterestError(
            f"A name has at most {MAX_NAME} letters, digits, dots, dashes and underscores, no dash first, and is not "
            f"{CONFIGS}; got {name[: MAX_NAME + 1]!r}. Give one with --name."
        )
    if not given and name in reserved_names():
        raise LongInterestError(
            f"{name} means data that RecBole bundles or downloads. Give another name, as --name my-{name}, or "
            f"--name {name} if this one is meant."
        )


def write_data_set(
    folder: Path,
    name: str,
    events: Events,
    catalogue: Catalogue,
    report: Mapping[str, Any],
    config: str,
    shown: bool = False,
    pictures: Mapping[str, bytes] | None = None,
) -> list[Path]:
    """Write all files of a data set, or none of them.

    Args:
        folder: above the data set's folder.
        name: of the data set.
        events: the log.
        catalogue: fields of the items.
        report: content of ``prepare.json``.
        config: content of the yaml file.
        shown: show a progress bar.
        pictures: file name -> content, for the folder of plots.

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
    for picture, content in (pictures or {}).items():
        targets[folder / name / PLOTS / picture] = partial(_write_bytes, content)
    with _scratch(folder, name) as scratch:
        for at, write in enumerate(targets.values()):
            with (scratch / str(at)).open("wb") as file:
                write(file)
            sync(scratch / str(at))  # a full disk is met before one file has its place
        for target in targets:  # whatever is in the way is met before one file has its place
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise IsADirectoryError(f"{target} is a folder")
        for at, target in enumerate(targets):
            put_in_place(scratch / str(at), target)
        _drop_stale(folder / name, name, targets)
    return list(targets)


def _write_bytes(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _drop_stale(folder: Path, name: str, targets: Iterable[Path]) -> None:
    """Items and plots of an earlier data set of this name, which these events are not of."""
    for stale in {folder / f"{name}.item", *(folder / PLOTS).glob("*.png")} - set(targets):
        stale.unlink(missing_ok=True)
    if (folder / PLOTS).is_dir() and not any((folder / PLOTS).iterdir()):
        (folder / PLOTS).rmdir()


def check_free(folder: Path, name: str) -> None:
    """Whether a data set of a name can be written without replacing a file.

    Args:
        folder: above the data set's folder.
        name: of the data set.

    Raises:
        ValueError: if one of its files is there.
    """
    for file in (folder / name / f"{name}.inter", folder / name / f"{name}.item", folder / CONFIGS / f"{name}.yaml"):
        if file.exists():
            raise LongInterestError(f"{file} is there already. Give another --name, or --overwrite.")


@contextmanager
def _scratch(folder: Path, name: str) -> Iterator[Path]:
    """A folder for unfinished files on the disk of the finished ones, removed at the end whatever happens.

    :func:`recbole_longinterest.common.files.atomic_file` puts a draft beside each file. These files go to folders that
    are made only when all of them are written, so that a failure leaves no empty folder.
    """
    scratch = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
        yield scratch
    except OSError as error:
        raise LongInterestError(
            f"{folder} cannot be written: {error}. Nothing of the new data set is left there."
        ) from error
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
    head = ["item_id:token", *catalogue.header()]
    file.write(("\t".join(head) + "\n").encode())
    for item in item_ids(events):
        file.write(("\t".join([item, *catalogue.cells(item)]) + "\n").encode())


def item_ids(events: Events) -> list[str]:
    """Ids of the items of the log, in the order in which they were met."""
    present: list[str] = events.items.take(pa.array(np.unique(events.item))).to_pylist()
    return present
