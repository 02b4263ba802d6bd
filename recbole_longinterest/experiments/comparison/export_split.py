"""Export the split of a comparison, so that other systems can be trained on it and evaluated with ``--lists``."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import atomic_folder
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.common.leftovers import standing
from recbole_longinterest.common.version import __version__
from recbole_longinterest.data.ties import FILE, RANDOM
from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.driver import cell_of
from recbole_longinterest.experiments.comparison.plan import Plan, read_settings
from recbole_longinterest.experiments.comparison.split_readme import readme
from recbole_longinterest.experiments.comparison.split_tables import PARTS, SplitTables, split_tables
from recbole_longinterest.experiments.comparison.variants import variant_of
from recbole_longinterest.experiments.comparison.views import Place, View, place_of
from recbole_longinterest.experiments.quiet import without_warnings

MARK = "split.json"  # marks a folder as an export
ALL = "events"  # name of the file with the events of all parts and those that are in histories only
RECBOLE_PARTS = dict(zip(PARTS, ("train", "valid", "test"), strict=True))
SEPARATORS = (" ", ",", ";", "|", "\x1f")  # candidates between the items of a history; the first that no item contains
PLACES = ("data_path", "text_encoder", "text_vectors")  # paths on this machine
LIKE = "Pop"  # the row whose data and split are exported


def export_split(
    datasets: Sequence[str],
    folder: str | Path,
    *,
    config_files: Sequence[str | Path] = (),
    settings: Mapping[str, object] | Sequence[str] = (),
) -> Path:
    """Write the split that ``compare`` would use with these settings: CSV, Parquet and RecBole's benchmark files.

    Args:
        datasets: names of data sets.
        folder: folder to create; an earlier export of the same data sets is replaced, but nothing else.
        config_files: see :func:`~recbole_longinterest.experiments.comparison.compare.compare`.
        settings: see there.

    Returns:
        The folder; its ``README.md`` describes every file.

    Raises:
        LongInterestError: if the folder holds other files or other data sets, or data or settings cannot be used.
    """
    folder = Path(folder)
    if not datasets:
        raise LongInterestError("There is no data set to export.")
    given = read_settings([str(file) for file in config_files], settings)
    with lock_files(folder, "exporting to", "give another folder"):
        _check_place(folder, datasets)
        with atomic_folder(folder) as draft:
            found = {dataset: _write(dataset, given, draft) for dataset in datasets}
            told = {name: value for name, value in given.items() if name not in PLACES}
            about = {"format": 1, "version": __version__, "settings": told, "datasets": found, "files": _files(draft)}
            (draft / MARK).write_text(json.dumps(about, indent=1, default=str) + "\n", encoding="utf-8")
    return folder


def _check_place(folder: Path, datasets: Sequence[str]) -> None:
    """Raise an error if the folder holds anything but an earlier export of these data sets."""
    if folder.is_file():
        raise LongInterestError(f"{folder} is a file. Give another folder.")
    place = standing(folder)
    if not place.is_dir() or not any(place.iterdir()):
        return
    if not (place / MARK).is_file():
        raise LongInterestError(
            f"{folder} exists and holds no exported split (no {MARK}), so it is not replaced. Give another folder."
        )
    earlier = read_json(place / MARK)
    lost = [f"the split of {name}" for name in earlier.get("datasets", {}) if name not in datasets]
    lost += sorted(set(_files(place)) - {MARK, *earlier.get("files", [])})
    if lost:
        raise LongInterestError(f"{folder} also holds {lost[0]}, which would be lost. Move it, or give another folder.")


def _files(folder: Path) -> list[str]:
    """All files below a folder, relative to it."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())


def _write(dataset: str, given: Mapping[str, object], draft: Path) -> dict[str, object]:
    """Write one data set; returns its description for ``split.json``."""
    whole: dict[str, object] = {"load_col": {"inter": "*"}}
    if given.get("exact_order", True) is True:  # the order does not depend on the scale
        whole |= {"normalize_all": False, "normalize_field": None}
    plan = Plan([LIKE], [dataset], [0], given={**given, **whole})
    with without_warnings():
        config = cell_of(plan, dataset, variant_of(LIKE), 0, draft, place_of(given)).config()
        tables = split_tables(config)
        found = _as_compared(dataset, given, draft) or tables.found
    place = draft / dataset
    place.mkdir(parents=True)
    for name in (*PARTS, ALL):
        part = _whole_numbers(tables.whole() if name == ALL else tables.part(name), tables.numbers)
        part.to_csv(place / f"{name}.csv", index=False, lineterminator="\n")
        part.to_parquet(place / f"{name}.parquet", index=False)
    pd.DataFrame({tables.item: tables.items}).to_csv(place / "items.csv", index=False, lineterminator="\n")
    name = f"{dataset}-split"  # another name, because RecBole reads its bundled files for ml-100k
    events = int(config["MAX_ITEM_LIST_LENGTH"])
    about = _write_benchmark(tables, place, name, events)
    for source in (Path(config["data_path"]) / f"{dataset}.{kind}" for kind in ("item", "user")):
        for folder in place.glob(f"recbole-*/{name}") if source.is_file() else ():
            shutil.copyfile(source, folder / f"{name}{source.suffix}")
    with (draft / "README.md").open("a", encoding="utf-8") as file:
        order, seed = (RANDOM, config["tie_seed"] or 0) if given.get("tie_order") == RANDOM else (FILE, 0)
        at = Place(View(order, place_of(given).view.split), seed)
        file.write(readme(tables, found.split, dataset, name, events, about, at))
    return {
        "split": found.split,
        "users": found.users,
        "items": found.items,
        "rows": {part: len(tables.rows[part]) for part in PARTS},
    }


def _as_compared(dataset: str, given: Mapping[str, object], draft: Path) -> data.Fingerprint | None:
    """The fingerprint of the split in a comparison, if its times are normalised; else None."""
    plan = Plan([LIKE], [dataset], [0], given=dict(given))
    config = cell_of(plan, dataset, variant_of(LIKE), 0, draft, place_of(given)).config()
    if not (config["normalize_all"] or config["normalize_field"]):
        return None
    whole = data.make_dataset(config)
    return data.fingerprint(whole, whole.build())


def _whole_numbers(table: pd.DataFrame, numbers: Sequence[str]) -> pd.DataFrame:
    """Convert columns of whole numbers to integers, so that files have 5 instead of 5.0."""
    for name in numbers:
        values = table[name]
        if np.isfinite(values).all() and (values == values.round()).all() and (values.abs() < 2**53).all():
            table[name] = values.astype(np.int64)
    return table


# --- RecBole's benchmark files ---------------------------------------------------------------------------------------


def _write_benchmark(tables: SplitTables, place: Path, name: str, events: int) -> dict[str, int]:
    """Write benchmark files for RecBole's general and sequential models, each with its settings.

    Returns:
        Number of catalogue items that each of them lacks.
    """
    columns = {field: _texts(tables, field) for field in tables.events}
    _check_texts(columns)
    head = [f"{field}:{'float' if field in tables.numbers else 'token'}" for field in columns]
    lists = [tables.item, *(field for field in tables.numbers if tables.events[field].notna().all())]
    separator = next(mark for mark in SEPARATORS if not any(mark in item for item in tables.items))
    list_head = [f"{field}_list:{'float_seq' if field in tables.numbers else 'token_seq'}" for field in lists]
    lacks = {}
    for kind, rows in (("general", tables.rows), ("sequential", tables.targets)):
        folder = place / f"recbole-{kind}" / name
        folder.mkdir(parents=True)
        shown = np.zeros(len(tables.events), dtype=bool)
        for part in PARTS:
            with (folder / f"{name}.{RECBOLE_PARTS[part]}.inter").open("w", encoding="utf-8", newline="\n") as file:
                file.write("\t".join([*head, *(list_head if kind == "sequential" else ())]) + "\n")
                for row in rows[part].tolist():
                    values = [texts[row] for texts in columns.values()]
                    begin = row
                    if kind == "sequential":
                        begin = max(int(tables.start[row]), row - events)
                        values += [separator.join(columns[field][begin:row]) for field in lists]
                    shown[begin : row + 1] = True
                    file.write("\t".join(values) + "\n")
        lacks[kind] = len(tables.items) - tables.events[tables.item][shown].nunique()
        own = [field.partition(":")[0] for field in (*head, *(list_head if kind == "sequential" else ()))]
        text = yaml.safe_dump(_settings(tables, kind, own, separator, events), sort_keys=False)
        (place / f"recbole-{kind}.yaml").write_text(f"# Settings for recbole-{kind}/{name}.\n{text}", encoding="utf-8")
    return lacks


def _settings(tables: SplitTables, kind: str, columns: Sequence[str], separator: str, events: int) -> dict[str, object]:
    settings: dict[str, object] = {
        "USER_ID_FIELD": tables.user,
        "ITEM_ID_FIELD": tables.item,
        "TIME_FIELD": tables.time,
        "load_col": {"inter": list(columns)},
        "benchmark_filename": list(RECBOLE_PARTS.values()),
    }
    if kind == "sequential":
        settings |= {"alias_of_item_id": [f"{tables.item}_list"], "MAX_ITEM_LIST_LENGTH": events}
        settings |= {"seq_separator": separator}
    return settings


def _texts(tables: SplitTables, field: str) -> list[str]:
    """Format a column as in an atomic file."""
    values = tables.events[field]
    if field not in tables.numbers:
        return [str(value) for value in values]
    whole = values.notna() & (values == values.round()) & (values.abs() < 2**53)
    return [
        "" if missing else str(int(value)) if is_whole else str(value)
        for value, missing, is_whole in zip(values, values.isna(), whole, strict=True)
    ]


def _check_texts(columns: Mapping[str, Sequence[str]]) -> None:
    """Raise an error for tokens that RecBole's files cannot hold; its reader treats quotes as delimiters."""
    for field, texts in columns.items():
        wrong = next((text for text in texts if any(mark in text for mark in '"\t\n\r')), None)
        if wrong is not None:
            raise LongInterestError(
                f"{field} has {wrong!r}, and a quote, tab or line end cannot be in RecBole's benchmark files. Replace "
                "it in the data."
            )
