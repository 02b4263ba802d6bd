"""Make Parquet files of recommendations or vectors from Parquet files of histories, one file at a time.

A partition is a file that holds all events of its users: one row per event, or one row per user with lists in other
columns. Its result is a file of the same name. It is written atomically, and its metadata name the model, the options
and the input. So a later call can tell which partitions are done.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.common.storage import open_storage
from recbole_longinterest.serving.event_files import PARQUET, columns_of_arrow, events_in
from recbole_longinterest.serving.event_tables import own_names
from recbole_longinterest.serving.request_times import asked_at
from recbole_longinterest.serving.results import frame_of

if TYPE_CHECKING:
    from recbole_longinterest.serving.by_index import ByIndex
    from recbole_longinterest.serving.events import History
    from recbole_longinterest.serving.recommender import Recommender

RECOMMENDATIONS, VECTORS = "recommendations", "vectors"
MADE_BY = b"recbole_longinterest"  # key of a file's metadata
ITEMS = "items.parquet"  # file of the item vectors, next to the folder of the user vectors
USERS = "users"  # folder of the user vectors


@dataclass(frozen=True)
class Batch:
    """The task for every partition.

    Attributes:
        source: file or folder of the histories, a path or a URL.
        target: folder of the results, a path or a URL.
        kind: ``"recommendations"`` or ``"vectors"``.
        k: items per user.
        exclude_seen: as in :meth:`Recommender.recommend`.
        candidates: as in :meth:`Recommender.recommend`.
        exclude: as in :meth:`Recommender.recommend`.
        at: as in :meth:`Recommender.recommend`.
        columns: names of the files' columns that differ from the model's, by kind.
        time_format: format of dates that are not ISO.
        index: look up candidates in the model's index instead of scoring every item.
    """

    source: str
    target: str
    kind: str = RECOMMENDATIONS
    k: int = 10
    exclude_seen: str = "target"
    candidates: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    at: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    time_format: str | None = None
    index: bool = False

    def made_by(self, fingerprint: str, size: int, changed: int | None) -> dict[str, Any]:
        """Return the origin of a result: the model, the input's size and modification time, and the options."""
        options = {name: value for name, value in asdict(self).items() if name not in ("source", "target")}
        said = {"model": fingerprint, "size": size, "changed": changed, **options}
        return dict(json.loads(json.dumps(said)))  # turns tuples into lists, as in the file


@dataclass(frozen=True)
class Done:
    """The outcome of a partition.

    Attributes:
        name: name of its file.
        users: number of users in it.
        error: why there is no result; "" for success.
    """

    name: str
    users: int
    error: str = ""


def partitions_of(source: str) -> list[str]:
    """Return the sorted names of the partitions of a file or folder; names that begin with ``.`` or ``_`` are skipped.

    Raises:
        LongInterestError: if there are no partitions.
    """
    system, root = open_storage(source)
    info = system.get_file_info(root)
    if info.type == fs.FileType.File:
        return [PurePosixPath(root).name]
    found = []
    if info.type == fs.FileType.Directory:
        for each in system.get_file_info(fs.FileSelector(root, recursive=True)):
            inside = PurePosixPath(each.path).relative_to(root)
            hidden = any(part.startswith((".", "_")) for part in inside.parts)
            if each.type == fs.FileType.File and inside.suffix.lower() in PARQUET and not hidden:
                found.append(inside.as_posix())
    if not found:
        raise LongInterestError(f"{source} holds no file that ends in {' or '.join(PARQUET)}.")
    return sorted(found)


def left_to_do(batch: Batch, names: Sequence[str], fingerprint: str) -> list[str]:
    """Return the names of the partitions that have no result yet.

    Args:
        batch: the task for every partition.
        names: names of all partitions.
        fingerprint: fingerprint of the model.

    Raises:
        LongInterestError: if a result was made by another model, with other options or from another input.
    """
    left = []
    for name in names:
        system, path = _target(batch, name)
        said = _said(system, path)
        if said is None:
            left.append(name)
            continue
        wanted = _origin(batch, name, fingerprint)
        other = next((key for key in wanted if said.get(key) != wanted[key]), None)
        if other is not None:
            raise LongInterestError(
                f"{path} was made with another {other}: {said.get(other)!r}; now it is {wanted[other]!r}. Give another "
                "--output, or remove the file."
            )
    return left


def do_partition(model: "Recommender", batch: Batch, name: str, by_index: "ByIndex | None" = None) -> Done:
    """Make the result of one partition. Errors in its input are returned, not raised.

    Args:
        model: the served model.
        batch: the task.
        name: name of the partition.
        by_index: the model with its index, for a batch with ``index``.

    Raises:
        OSError: if the result cannot be written.
    """
    try:
        histories = _read(model, batch, name)
        if batch.kind == VECTORS:
            table = _vectors(model, batch, histories)
        else:
            table = _recommendations(by_index or model, batch, histories, model.served.fields)
    except (LongInterestError, pa.ArrowException, OSError) as error:
        return Done(name, 0, " ".join(str(error).split()))
    _write(table, batch, name, model.fingerprint)
    return Done(name, len(histories))


def write_item_vectors(model: "Recommender", batch: Batch) -> None:
    """Write the vectors of all items with their ids, next to the folder of the user vectors.

    The dot product of a user and an item vector is the network's score: the score without the memory of transitions and
    the repeat bias.
    """
    vectors = model.items[1:].numpy()
    table = pa.table({"item": pa.array(model.served.items.tokens[1:], pa.string()), "vector": _lists(vectors)})
    system, root = open_storage(batch.target)
    _write_file(table, system, f"{root}/{ITEMS}")


# --- reading ---------------------------------------------------------------------------------------------------------


def _source(batch: Batch, name: str) -> tuple[fs.FileSystem, str]:
    system, root = open_storage(batch.source)
    whole = system.get_file_info(root).type == fs.FileType.File
    return system, root if whole else f"{root}/{name}"


def _target(batch: Batch, name: str) -> tuple[fs.FileSystem, str]:
    system, root = open_storage(batch.target)
    return system, f"{root}/{USERS}/{name}" if batch.kind == VECTORS else f"{root}/{name}"


def _origin(batch: Batch, name: str, fingerprint: str) -> dict[str, Any]:
    system, path = _source(batch, name)
    info = system.get_file_info(path)
    return batch.made_by(fingerprint, info.size, info.mtime_ns)


def _said(system: fs.FileSystem, path: str) -> dict[str, Any] | None:
    """Read the origin of a result from its metadata; None if the file is missing or not readable as Parquet."""
    if system.get_file_info(path).type != fs.FileType.File:
        return None
    try:
        with system.open_input_file(path) as file:
            metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    return dict(json.loads(metadata[MADE_BY])) if MADE_BY in metadata else {}


def _read(model: "Recommender", batch: Batch, name: str) -> "dict[Any, History]":
    system, path = _source(batch, name)
    with system.open_input_file(path) as file:
        table = pq.read_table(file)
    named = own_names(model.served.fields, batch.columns, table.column_names, path)
    if named["user"] not in table.column_names:
        raise LongInterestError(
            f"{path} has no column {named['user'] or model.served.fields['user']}; its columns are "
            f"{', '.join(table.column_names) or 'none'}. Give the name of its user column as --user-column."
        )
    frame = columns_of_arrow(_row_an_event(table, named["item"], path), path)
    features = list(model.reader.columns().values())
    times, fields = model.reader.times, model.served.fields
    return model.read_table(events_in(frame, path, fields, features, batch.columns, times, batch.time_format))


def _row_an_event(table: pa.Table, item: str, path: str) -> pa.Table:
    """Return a table with one row per event, also from a table with one row per user and lists of equal lengths."""
    if item not in table.column_names or not _is_list(table.schema.field(item).type):
        return table
    lists = table[item].combine_chunks()
    rows, lengths = pa.compute.list_parent_indices(lists), pa.compute.list_value_length(lists)
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if not _is_list(column.type):
            columns[name] = column.take(rows)
        elif pa.compute.list_value_length(column).fill_null(0).equals(lengths.fill_null(0)):
            columns[name] = pa.compute.list_flatten(column)
        else:
            raise LongInterestError(f"{path}: the lists of {name} must be as long as those of {item} in every row.")
    return pa.table(columns)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


# --- writing ---------------------------------------------------------------------------------------------------------


def _recommendations(
    model: "Recommender | ByIndex", batch: Batch, histories: "dict[Any, History]", names: Mapping[str, str]
) -> pa.Table:
    found = model.recommend_histories(
        histories, batch.k, batch.exclude_seen, batch.candidates, exclude=batch.exclude, at=batch.at
    )
    kinds = {names["user"]: pa.string(), "rank": pa.int32(), names["item"]: pa.string(), "title": pa.string()}
    schema = pa.schema({**kinds, "score": pa.float64(), "basis": pa.string()})
    return pa.Table.from_pandas(frame_of(found, names["user"], names["item"]), schema, preserve_index=False)


def _vectors(model: "Recommender", batch: Batch, histories: "dict[Any, History]") -> pa.Table:
    """Return the interest vectors of users with a known item; users without one are left out."""
    asked = zip(histories, asked_at(model, list(histories.values()), batch.at), strict=True)
    known = {user: history for user, history in asked if len(history)}
    vectors = model.interest(list(known.values())).numpy() if known else np.zeros((0, model.items.shape[1]), np.float32)
    users = pa.array([str(user) for user in known], pa.string())
    return pa.table({model.served.fields["user"]: users, "vector": _lists(vectors)})


def _lists(vectors: np.ndarray) -> pa.Array:
    """Convert vectors [n, D] to an Arrow array of lists of D float32."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def _write(table: pa.Table, batch: Batch, name: str, fingerprint: str) -> None:
    origin = json.dumps(_origin(batch, name, fingerprint))
    system, path = _target(batch, name)
    _write_file(table.replace_schema_metadata({MADE_BY: origin.encode()}), system, path)


def _write_file(table: pa.Table, system: fs.FileSystem, path: str) -> None:
    """Write a file atomically: object stores do this themselves; on a local disk, a draft is written and renamed."""
    system.create_dir(str(PurePosixPath(path).parent), recursive=True)
    if isinstance(system, fs.LocalFileSystem):
        with atomic_file(Path(path)) as draft:
            pq.write_table(table, draft)
        return
    with system.open_output_stream(path) as file:
        pq.write_table(table, file)
