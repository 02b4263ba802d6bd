"""Parquet files of histories to Parquet files of recommendations or vectors, one by one, wherever the work is done.

A partition is a file. It holds all events of its users: a row an event, or a row a user with lists in other columns.
The result of a partition is a file of the same name, which appears whole or not at all, and says in its metadata what
made it. So a next call knows what is done.
"""

import json
from collections.abc import Sequence
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
    from recbole_longinterest.serving.events import History
    from recbole_longinterest.serving.recommender import Recommender

RECOMMENDATIONS, VECTORS = "recommendations", "vectors"
MADE_BY = b"recbole_longinterest"  # key of a file's metadata
ITEMS = "items.parquet"  # of the items' vectors, beside those of the users
USERS = "users"  # folder of the users' vectors


@dataclass(frozen=True)
class Batch:
    """What is made of every partition.

    Attributes:
        source: file or folder of the histories, a path or a URL.
        target: folder of the results, a path or a URL.
        kind: ``"recommendations"`` or ``"vectors"``.
        k: items a user.
        exclude_seen: as for :meth:`Recommender.recommend`.
        candidates: likewise.
        exclude: likewise.
        at: likewise.
        columns: the files' own names of some columns, by kind.
        time_format: of dates that are not ISO.
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

    def made_by(self, fingerprint: str, size: int, changed: int | None) -> dict[str, Any]:
        """What a result says of its origin: the model, the input's size and time of change, and the options."""
        options = {name: value for name, value in asdict(self).items() if name not in ("source", "target")}
        said = {"model": fingerprint, "size": size, "changed": changed, **options}
        return dict(json.loads(json.dumps(said)))  # tuples as lists, as in the file


@dataclass(frozen=True)
class Done:
    """The result of a partition.

    Attributes:
        name: of its file.
        users: in it.
        error: why there is none; "" if there is.
    """

    name: str
    users: int
    error: str = ""


def partitions_of(source: str) -> list[str]:
    """Names of the partitions of a file or folder, sorted; those that begin with ``.`` or ``_`` are not read.

    Raises:
        LongInterestError: if there is none.
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
    """The partitions without a result.

    Args:
        batch: what is made of them.
        names: of the partitions.
        fingerprint: of the model.

    Raises:
        LongInterestError: for a result of another model, other options or another input.
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
                f"{path} was made with another {other}: {said.get(other)!r}, and now it is {wanted[other]!r}. Give "
                "another --output, or remove it."
            )
    return left


def do_partition(model: "Recommender", batch: Batch, name: str) -> Done:
    """Make the result of one partition; what is wrong with its input is in the answer.

    Args:
        model: the served model.
        batch: what is made.
        name: of the partition.

    Raises:
        OSError: if the result cannot be written.
    """
    try:
        histories = _read(model, batch, name)
        make = _vectors if batch.kind == VECTORS else _recommendations
        table = make(model, batch, histories)
    except (LongInterestError, pa.ArrowException, OSError) as error:
        return Done(name, 0, " ".join(str(error).split()))
    _write(table, batch, name, model.fingerprint)
    return Done(name, len(histories))


def write_item_vectors(model: "Recommender", batch: Batch) -> None:
    """Write the vectors of all items, by token, beside those of the users.

    The score of an item without memory of transitions and repeats is the product of both vectors.
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
    """What a result says of its origin; None if it is not there or not whole."""
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
            f"{', '.join(table.column_names) or 'none'}. --user-column names another one."
        )
    frame = columns_of_arrow(_row_an_event(table, named["item"], path), path)
    features = list(model.reader.columns().values())
    times, fields = model.reader.times, model.served.fields
    return model.read_table(events_in(frame, path, fields, features, batch.columns, times, batch.time_format))


def _row_an_event(table: pa.Table, item: str, path: str) -> pa.Table:
    """A table with a row an event; one with lists of items has a row a user, and lists of the same lengths."""
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


def _recommendations(model: "Recommender", batch: Batch, histories: "dict[Any, History]") -> pa.Table:
    found = model.recommend_histories(
        histories, batch.k, batch.exclude_seen, batch.candidates, exclude=batch.exclude, at=batch.at
    )
    names = model.served.fields
    kinds = {names["user"]: pa.string(), "rank": pa.int32(), names["item"]: pa.string(), "title": pa.string()}
    schema = pa.schema({**kinds, "score": pa.float64(), "basis": pa.string()})
    return pa.Table.from_pandas(frame_of(found, names["user"], names["item"]), schema, preserve_index=False)


def _vectors(model: "Recommender", batch: Batch, histories: "dict[Any, History]") -> pa.Table:
    """Interest vectors of users that have a known item; others have none."""
    asked = zip(histories, asked_at(model, list(histories.values()), batch.at), strict=True)
    known = {user: history for user, history in asked if len(history)}
    vectors = model.interest(list(known.values())).numpy() if known else np.zeros((0, model.items.shape[1]), np.float32)
    users = pa.array([str(user) for user in known], pa.string())
    return pa.table({model.served.fields["user"]: users, "vector": _lists(vectors)})


def _lists(vectors: np.ndarray) -> pa.Array:
    """Vectors [n, D] as lists of D float32."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def _write(table: pa.Table, batch: Batch, name: str, fingerprint: str) -> None:
    origin = json.dumps(_origin(batch, name, fingerprint))
    system, path = _target(batch, name)
    _write_file(table.replace_schema_metadata({MADE_BY: origin.encode()}), system, path)


def _write_file(table: pa.Table, system: fs.FileSystem, path: str) -> None:
    """Write a file whole or not at all: object stores do so, and a folder of this machine gets a draft first."""
    system.create_dir(str(PurePosixPath(path).parent), recursive=True)
    if isinstance(system, fs.LocalFileSystem):
        with atomic_file(Path(path)) as draft:
            pq.write_table(table, draft)
        return
    with system.open_output_stream(path) as file:
        pq.write_table(table, file)
