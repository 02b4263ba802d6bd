"""Event sources and their columns: the built-in ones, ``event_features`` and ``user_features``."""

from collections.abc import Mapping
from dataclasses import dataclass

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.sources import EVENT_SOURCES, usable_name

BUILT_IN = {"rating": "RATING_FIELD", "behavior": "BEHAVIOR_FIELD", "time": "TIME_FIELD"}
REQUEST_GAP = "request_gap"  # field of a batch: time from the last event to the target, only with request_time
OWN_NAMES = {*BUILT_IN, "item", "features", "time_gap", REQUEST_GAP}  # reserved names of events and batches
TOKEN_KINDS = ("token", "tokens")
DEFAULT_KINDS = {"token": "token", "float": "number", "token_seq": "tokens"}  # by RecBole's types of columns
USER = "user_"  # prefix of the names of user sources


@dataclass(frozen=True)
class SourceField:
    """A configured event source. The data may lack its column.

    Attributes:
        name: name of the source.
        column: column that it reads.
        of: ``"event"`` for a column of ``.inter``, ``"user"`` for one of ``.user``.
        kind: kind of the source; "" means the default for the column's type.
        field: name of its field in a batch.
    """

    name: str
    column: str
    of: str
    kind: str
    field: str


def source_fields(config: Settings) -> dict[str, SourceField]:
    """Return the event sources by name: rating, behaviour and time, then the configured ones in order.

    Raises:
        LongInterestError: if a setting is not a list of columns, or names a column twice or a reserved name.
    """
    suffix = config["LIST_SUFFIX"]
    fields = [
        SourceField(
            name, config[key], "event", name, f"time_gap{suffix}" if name == "time" else f"{config[key]}{suffix}"
        )
        for name, key in BUILT_IN.items()
    ]
    taken = {config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "RATING_FIELD", "TIME_FIELD", "BEHAVIOR_FIELD")}
    for column, kind in columns_of(config, "event_features").items():
        if column in taken:
            raise LongInterestError(
                f"event_features names {column}, which is already read: ids, rating, time and behaviour have separate "
                "settings. Leave it out."
            )
        if column in OWN_NAMES or not usable_name(column):
            raise LongInterestError(
                f"event_features names {column}, which is a reserved name. Rename the column of the data."
            )
        fields.append(SourceField(column, column, "event", kind, column + suffix))
    for column, kind in columns_of(config, "user_features").items():
        fields.append(SourceField(USER + column, column, "user", kind, f"{USER}{column}{suffix}"))
    by_name = {field.name: field for field in fields}
    if len(by_name) < len(fields):
        raise LongInterestError(
            "event_features and user_features give two sources the same name; the sources are "
            f"{', '.join(field.name for field in fields)}. Rename a column of the data."
        )
    unknown = [name for name in read_source_levels(config) if name in BUILT_IN or name not in by_name]
    if unknown:
        allowed = ", ".join(name for name in by_name if name not in BUILT_IN)
        raise LongInterestError(
            f"source_levels must name sources of event_features and user_features ({allowed or 'there are none'}); got "
            f"{unknown[0]}."
            + (" Set rating_levels for the ratings." if unknown[0] in ("rating", config["RATING_FIELD"]) else "")
        )
    return by_name


def read_source_levels(config: Settings) -> Mapping[str, object]:
    """Read ``source_levels``: levels by name of source. The levels themselves are not checked.

    Raises:
        LongInterestError: if it is not a mapping.
    """
    value = {} if config["source_levels"] is None else config["source_levels"]
    if not isinstance(value, Mapping):
        raise LongInterestError(
            f"source_levels must map sources to lists of numbers, as {{hour: [0, 6, 12, 18]}}; got {value!r}."
        )
    return value


def columns_of(config: Settings, key: str) -> dict[str, str]:
    """Read ``event_features`` or ``user_features``: column -> kind, "" for the default of the column's type.

    Raises:
        LongInterestError: if the value is not a list of columns.
    """
    value = config[key]
    entries = [] if value is None else value if isinstance(value, list) else [value]
    columns: dict[str, str] = {}
    for entry in entries:
        pair = entry if isinstance(entry, Mapping) and len(entry) == 1 else {str(entry): ""}
        column, kind = next(iter(pair.items()))
        if not isinstance(entry, (str, Mapping)) or column != column.strip("{}[]"):
            column = ""
        if not isinstance(column, str) or not column or "." in column or not isinstance(kind, str):
            raise LongInterestError(
                f"{key} must be a list of columns, each a name without a dot or {{name: kind}}, as ['device', "
                f"{{'hour': 'number'}}] (a command line needs the quotes); got {value!r}."
            )
        if column in columns:
            raise LongInterestError(f"{key} names {column} more than once. Keep only one of them.")
        if kind:
            EVENT_SOURCES.get(kind)
        columns[column] = kind
    return columns


def kind_of(field: SourceField, column_type: str) -> str:
    """Kind of a source whose column has this type; "" if no kind reads the type."""
    return field.kind or DEFAULT_KINDS.get(column_type, "")
