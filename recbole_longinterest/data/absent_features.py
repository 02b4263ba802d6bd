"""Check that the data has the columns of the configured sources."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.data.item_texts import why_no_text
from recbole_longinterest.data.source_fields import BUILT_IN, SourceField, kind_of
from recbole_longinterest.data.user_columns import user_column_types, user_file
from recbole_longinterest.nn.sources import EVENT_SOURCES

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def absent_features(dataset: "Dataset", fields: Mapping[str, SourceField], item_file: Path) -> dict[str, str]:
    """Find sources without usable data, each with the reason as one sentence.

    Args:
        dataset: the loaded data set.
        fields: the configured event sources by name.
        item_file: path of the ``.item`` file, which may be missing.

    Returns:
        Reason by name of source.
    """
    no_text = why_no_text(dataset.config, item_file)
    absent = {"text": no_text} if no_text else {}
    users = user_column_types(dataset.config)
    for name, field in fields.items():
        of_user = field.of == "user"
        reason = why_not_of_user(dataset, field, users) if of_user else why_not_of_event(dataset, field)
        if reason:
            absent[name] = reason
    return absent


def why_not_of_event(dataset: "Dataset", field: SourceField) -> str | None:
    """Return the reason why a column of the events cannot be a source; None if it can."""
    built_in, lists = field.name in BUILT_IN, bool(dataset.benchmark_filename_list)
    if lists and not built_in:
        return f"benchmark_filename is set, and {field.column} is read only from .inter."
    column = field.field if lists else field.column
    base = column.removesuffix(dataset.config["LIST_SUFFIX"])
    if not lists and base != column and base in dataset.inter_feat:
        return f"{column} is also the name of the history field of {base}. Rename the column, or set LIST_SUFFIX."
    unused = (dataset.config["unused_col"] or {}).get("inter") or ()
    if column not in dataset.inter_feat:
        where = "_list fields of the benchmark files" if lists else "columns loaded from .inter"
        return f"{column} is not among the {where}."
    if column in unused or field.field in unused:
        return f"{column} is in unused_col."
    if column in (dataset.config["numerical_features"] or ()):
        return f"{column} is in numerical_features, which changes its form."
    if field.name == "time":
        return None
    of_type = dataset.field2type[column].value
    return _why_not_of_type(field, of_type.removesuffix("_seq") if built_in and lists else of_type, column)


def why_not_of_user(dataset: "Dataset", field: SourceField, types: Mapping[str, str]) -> str | None:
    """Return the reason why a column of the users cannot be a source; None if it can.

    Args:
        dataset: the loaded data set.
        field: the source.
        types: type of each column of the ``.user`` file; empty without a file.
    """
    if dataset.benchmark_filename_list:
        return f"benchmark_filename is set, and {field.column} is read only for users in .inter."
    if not types:
        return f"there is no file {user_file(dataset.config)}."
    absent = [column for column in (field.column, dataset.uid_field) if column not in types]
    if absent:
        return f"{user_file(dataset.config)} has no column {' and no '.join(absent)}; it has {', '.join(types)}."
    return _why_not_of_type(field, types[field.column], field.column)


def _why_not_of_type(field: SourceField, of_type: str, column: str) -> str | None:
    """Return the reason why a source cannot read a column of this type; None if it can."""
    kind = kind_of(field, of_type)
    if kind and of_type in EVENT_SOURCES.get(kind).column_kinds:
        return None
    words = {"behavior": ", and behaviours are tokens", "rating": ", and ratings are numbers"}.get(
        field.name, f", and a source of kind {kind} cannot read it" if kind else ", and no source can read it"
    )
    return f"{column} is a column of {of_type}{words}."
