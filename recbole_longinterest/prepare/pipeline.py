"""Turn raw files into a RecBole data set: read, filter, describe the items, report, write."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.notebook import Bar
from recbole_longinterest.common.resources import BUNDLED
from recbole_longinterest.prepare import plots
from recbole_longinterest.prepare.catalogue import Catalogue
from recbole_longinterest.prepare.cleaning.missing_values import count_words, missing_mask
from recbole_longinterest.prepare.cleaning.number_dates import NAMED, WAYS
from recbole_longinterest.prepare.duplicates import DUPLICATES
from recbole_longinterest.prepare.events import Collector, Events
from recbole_longinterest.prepare.filters import Filters
from recbole_longinterest.prepare.notes import behavior_counts, notes_on
from recbole_longinterest.prepare.place import EVENT_FILES, check_free, held_place
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally, listed
from recbole_longinterest.prepare.readers.files import RawFile, open_bar
from recbole_longinterest.prepare.report import counts_of, describe
from recbole_longinterest.prepare.sources.base import RawData
from recbole_longinterest.prepare.write import check_name, item_ids, write_data_set

BUNDLED_NOTE = f"under the name {BUNDLED} RecBole always reads the data that it bundles, whatever --data_path says"


@dataclass(frozen=True)
class Options:
    """Options besides reading and filtering.

    Attributes:
        output: parent of the data set's folder.
        name: name of the data set; None to take it from the files.
        dry_run: write nothing.
        strict: stop at the first bad row.
        overwrite: replace an existing data set of this name.
        plots: draw the report's distributions.
        time_format: format of the times, None to detect it.
        target_behavior: behaviour whose events are the targets, for the yaml file.
        form: format of the events' file, a key of :data:`~recbole_longinterest.prepare.place.EVENT_FILES`.
        progress: show progress bars.
    """

    output: Path
    name: str | None = None
    dry_run: bool = False
    strict: bool = False
    overwrite: bool = False
    plots: bool = False
    time_format: str | None = None
    target_behavior: str | None = None
    form: str = "inter"
    progress: bool = True


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
        name: name of the data set.
        report: content of ``prepare.json``.
        files: written files; empty after a dry run.
    """

    name: str
    report: Mapping[str, Any]
    files: list[Path]


def prepare(data: RawData, filters: Filters, options: Options) -> Prepared:
    """Prepare a data set.

    Args:
        data: the raw files.
        filters: filters of the events.
        options: other options.

    Returns:
        Name, report and files of the data set.

    Raises:
        ValueError: for files that cannot be read or written, or if no event is kept. Nothing is written then.
    """
    if data.roles.time is None and (filters.since is not None or filters.until is not None):
        raise LongInterestError("--since and --until need times, which --order file does not have. Leave them out.")
    if options.form not in EVENT_FILES:
        raise LongInterestError(f"format must be one of {', '.join(EVENT_FILES)}; got {options.form!r}.")
    name = data.name if options.name is None else options.name
    check_name(name, given=options.name is not None)
    if options.time_format is not None and options.time_format not in NAMED and "%" not in options.time_format:
        raise LongInterestError(f"--time-format must be {WAYS}; got {options.time_format!r}.")
    if options.dry_run:
        return _prepare(data, filters, options, name)
    with held_place(options.output, name) as killed:
        if not options.overwrite and not killed:  # a killed run may have written everything
            check_free(options.output, name)
        return _prepare(data, filters, options, name, same=not options.overwrite)


def _prepare(data: RawData, filters: Filters, options: Options, name: str, same: bool = False) -> Prepared:
    tally = Tally(options.strict)
    catalogue = Catalogue(data.kinds, missing=data.missing)
    collector = Collector(data.roles, tally, options.time_format)
    with open_bar(data.files, "events", options.progress) as bar:
        for source in data.files:
            for chunk in _read_ahead(data, source, bar):
                _add_texts(catalogue, data, chunk, *collector.add(chunk))
    events = filters.apply(collector.events(), lambda reason, number: tally.dropped.update({reason: number}))
    if not len(events):
        raise LongInterestError(f"No event is left: {', '.join(f'{n:,} {why}' for why, n in tally.dropped.items())}.")
    _check_target(options.target_behavior, events)

    items = item_ids(events)
    item_tally = Tally(options.strict)
    if data.item_files:
        catalogue.wanted = set(items)
        with open_bar(data.item_files, "items", options.progress) as bar:
            data.describe(catalogue, item_tally, bar.update)
    catalogue.settle(data.list_separator)
    coverage = catalogue.coverage(items)
    report = {
        "name": name,
        "source": data.label,
        "files": [str(source) for source in (*data.files, *data.item_files)],
        "notes": [
            *data.notes,
            *notes_on(events, collector.forms),
            *([BUNDLED_NOTE] if name == BUNDLED else []),
        ],
        "filters": {key: value for key, value in vars(filters).items() if value is not None},
        "duplicates": DUPLICATES[filters.duplicates],
        "rows": {**counts_of(tally), "kept": len(events)},
        "changed": {what: number for what, number in tally.changed.items() if number},
        "item_rows": {**counts_of(item_tally), "changed": dict(+(item_tally.changed + catalogue.changed))},
        "times": {form: number for form, number in collector.forms.items() if number},
        "missing_values": {
            name: dict(counts) for name, counts in {**collector.missing, **catalogue.missing_found}.items() if counts
        },
        "item_columns": dict(catalogue.found),
        "text_coverage": coverage,
        "statistics": vars(describe(events)),
    }
    if options.dry_run:
        return Prepared(name, report, [])
    config = config_text(data, events, coverage, options, catalogue.separator)
    pictures = plots.draw(events) if options.plots else {}
    files = write_data_set(
        options.output, name, events, catalogue, report, config, options.progress, pictures, same, options.form
    )
    return Prepared(name, report, files)


def _read_ahead(data: RawData, source: RawFile, bar: Bar) -> Iterator[Chunk]:
    """Read the next chunk in a thread while one is checked. The bar is drawn by the calling thread."""
    done: deque[int] = deque()  # bytes
    parts = data.chunks(source, done.append)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, parts, None)
        while (chunk := coming.result()) is not None:
            coming = pool.submit(next, parts, None)
            yield chunk
            while done:
                bar.update(done.popleft())
    while done:
        bar.update(done.popleft())


def _add_texts(
    catalogue: Catalogue, data: RawData, chunk: Chunk, items: pa.DictionaryArray, stays: NDArray[np.bool_]
) -> None:
    """Add item texts from event rows: the first non-empty text of each item."""
    for name in data.text_columns:
        column = chunk.columns[name].filter(pa.array(stays)).cast(pa.large_string())
        known, ids = catalogue.values[name], items.dictionary.to_pylist()
        new = pa.array([item not in known for item in ids], pa.bool_())
        at = pc.indices_nonzero(pc.and_(pc.is_valid(column), new.take(items.indices)))
        texts = column.take(at)
        empty = missing_mask(texts, catalogue.missing)
        count_words(texts.filter(empty), catalogue.missing, catalogue.missing_found[name])
        at = at.filter(pc.invert(empty))
        if len(at):
            table = pa.table({"item": items.indices.take(at), "row": at}).group_by("item").aggregate([("row", "min")])
            rows = table["row_min"].combine_chunks()
            for item, text in zip(table["item"].to_pylist(), column.take(rows).to_pylist(), strict=True):
                catalogue.fill(name, ids[item], text)


def _check_target(target: str | None, events: Events) -> None:
    if target is not None and target not in behavior_counts(events):
        raise LongInterestError(
            f"--target-behavior {target} is not a behaviour of the kept events; they have: "
            f"{listed(behavior_counts(events)) or 'none (name their column with --behavior)'}."
        )


def config_text(
    data: RawData, events: Events, coverage: Mapping[str, float], options: Options, separator: str = " "
) -> str:
    """Return the yaml file of the data set: data keys only, because it overrides every model's yaml."""
    fields = [name for name in data.text_fields if coverage.get(name)]
    lines = [f"# {options.name or data.name}, made by recbole-li prepare. Data keys only; read for every model.\n"]
    if fields:
        lines.append(f"text_fields: {_flow(fields)}\n")
    if data.category_field in fields:
        lines.append(
            f"category_field: {_flow(data.category_field)}  # (str) Field of the item categories, for an export.\n"
        )
    if separator != " ":
        lines.append(f"seq_separator: {_flow(separator)}  # (str) Separator of list values, which contain spaces.\n")
    if events.behavior is not None:
        columns = ["user_id", "item_id", *["rating"] * (events.rating is not None), "timestamp", "behavior"]
        lines.append(f"load_col:\n    inter: {_flow(columns)}\n")
        names = listed(behavior_counts(events))
        target = _flow(options.target_behavior) if options.target_behavior else "~"
        lines.append(f"target_behavior: {target}  # (str) Only these events are targets, of: {names}.\n")
    return "".join(lines)


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
