"""Write a prepared data set atomically: all of its files or none."""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.notebook import progress_bar
from recbole_longinterest.common.resources import DATASET_CONFIGS, PREPARED_SETTINGS
from recbole_longinterest.prepare.catalogue import Catalogue
from recbole_longinterest.prepare.cleaning.times import decimals_of, in_seconds
from recbole_longinterest.prepare.events import Events
from recbole_longinterest.prepare.place import EVENT_FILES, PLOTS, REPORT, new_place, settings_link
from recbole_longinterest.prepare.write_parquet import ROWS, write_parquet

WRITERS = 2  # parts of the log that are formatted at once
MAX_NAME = 100  # characters; file names add a suffix, and file systems allow 255


def reserved_names() -> frozenset[str]:
    """Names of the data sets that RecBole bundles or downloads."""
    folder = files("recbole") / "properties" / "dataset"
    names = {Path(entry.name).stem for entry in folder.iterdir()} | {DATASET_CONFIGS}
    for entry in ("url.yaml", "kg_url.yaml"):
        names |= set(yaml.safe_load((folder / entry).read_text(encoding="utf-8")))
    return frozenset(map(str, names))


def check_name(name: str, given: bool) -> None:
    """Check the name of a data set.

    Args:
        name: name of the data set.
        given: the user gave the name, so it may be the name of one of RecBole's data sets.

    Raises:
        ValueError: for a name that is not allowed.
    """
    fits = re.fullmatch(rf"[A-Za-z0-9._][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}", name) and name.strip(".")
    if not fits or name == DATASET_CONFIGS:
        raise LongInterestError(
            f"A name must have at most {MAX_NAME} letters, digits, dots, dashes and underscores, must not start with a "
            f"dash, and must not be {DATASET_CONFIGS}; got {name[: MAX_NAME + 1]!r}. Give one with --name."
        )
    if not given and name in reserved_names():
        raise LongInterestError(
            f"{name} is a data set that RecBole bundles or downloads. Give another name, such as --name my-{name}, or "
            f"--name {name} to use this name anyway."
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
    same: bool = False,
    form: str = "inter",
) -> list[Path]:
    """Write all files of a data set, or none.

    Args:
        folder: parent of the data set's folder.
        name: name of the data set.
        events: the log.
        catalogue: item fields.
        report: content of ``prepare.json``.
        config: content of the yaml file.
        shown: show a progress bar.
        pictures: file name -> content, for the folder of plots.
        same: an existing data set must have the same content.
        form: format of the events, a key of :data:`~recbole_longinterest.prepare.place.EVENT_FILES`.

    Returns:
        The written files.

    Raises:
        ValueError: if the files cannot be written.
    """
    write_events = write_parquet if form == "parquet" else _write_inter
    contents: dict[str, Callable[[IO[bytes]], object]] = {
        f"{name}{EVENT_FILES[form]}": lambda file: write_events(file, events, shown),
        REPORT: lambda file: file.write(f"{json.dumps(report, indent=2)}\n".encode()),
        PREPARED_SETTINGS: lambda file: file.write(config.encode()),
    }
    if catalogue.kinds:
        contents[f"{name}.item"] = lambda file: _write_item(file, events, catalogue)
    for picture, content in (pictures or {}).items():
        contents[f"{PLOTS}/{picture}"] = partial(_write_bytes, content)
    try:
        with new_place(folder, name, contents, same) as draft:
            for file_name, write in contents.items():
                (draft / file_name).parent.mkdir(exist_ok=True)
                with (draft / file_name).open("wb") as file:
                    write(file)
    except OSError as error:
        raise LongInterestError(
            f"{folder} cannot be written: {error}. No file of the new data set remains there."
        ) from error
    link = settings_link(folder, name)
    return [link if file == PREPARED_SETTINGS and link.exists() else folder / name / file for file in contents]


def _write_bytes(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _write_inter(file: IO[bytes], events: Events, shown: bool) -> None:
    """Write the log, in the order of the input files."""
    columns = ["user_id:token", "item_id:token"]
    columns += ["rating:float"] * (events.rating is not None) + ["timestamp:float"]
    columns += ["behavior:token"] * (events.behavior is not None)
    file.write(("\t".join(columns) + "\n").encode())
    decimals = decimals_of(events.time)
    starts = range(0, len(events), ROWS)
    with (
        ThreadPoolExecutor(WRITERS) as pool,  # pyarrow formats without Python's lock
        progress_bar(total=len(events), desc="writing", unit="row", unit_scale=True, disable=not shown) as bar,
    ):
        ahead = deque(pool.submit(_lines, events, start, decimals) for start in starts[:WRITERS])
        for number, start in enumerate(starts):
            file.write(ahead.popleft().result())
            for later in starts[number + WRITERS : number + WRITERS + 1]:
                ahead.append(pool.submit(_lines, events, later, decimals))
            bar.update(min(ROWS, len(events) - start))


def _lines(events: Events, start: int, decimals: int) -> Any:  # noqa: ANN401 - a pyarrow buffer
    """Format a part of the log."""
    part = slice(start, start + ROWS)
    cells = [events.users.take(pa.array(events.user[part])), events.items.take(pa.array(events.item[part]))]
    if events.rating is not None:
        ratings = events.rating[part]
        cells.append(pa.array(ratings, mask=np.isnan(ratings)).cast(pa.large_string()))
    cells.append(in_seconds(events.time[part], decimals))
    if events.behavior is not None:
        codes = events.behavior[part]
        cells.append(events.behaviors.take(pa.array(codes, mask=codes < 0)))
    tab, end = (pa.scalar(text, pa.large_string()) for text in "\t\n")
    lines = pc.binary_join_element_wise(*cells, tab, null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(lines, pa.scalar("", pa.large_string()), end)
    return lines.buffers()[2][: pc.sum(pc.binary_length(lines)).as_py()]


def _write_item(file: IO[bytes], events: Events, catalogue: Catalogue) -> None:
    """Write a row for every item of the log and no other: RecBole drops events of items without a row."""
    head = ["item_id:token", *catalogue.header()]
    file.write(("\t".join(head) + "\n").encode())
    for item in item_ids(events):
        file.write(("\t".join([item, *catalogue.cells(item)]) + "\n").encode())


def item_ids(events: Events) -> list[str]:
    """Return the item ids of the log, in order of their first appearance."""
    present: list[str] = events.items.take(pa.array(np.flatnonzero(np.bincount(events.item)))).to_pylist()
    return present
