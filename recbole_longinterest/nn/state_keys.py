"""Names of the network's tensors in a state dict, as checkpoints and exports keep them.

The names are part of the file formats: a changed name needs an entry in :data:`OLD_KEYS`.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

ID = "id_embedding.weight"
TRAINED = "trained"
LOG_SCALE = "log_scale"  # of cosine logits, absent for dot products
REPEAT_BIAS = "repeat_bias"  # absent with repeat_bias: off
QUERY = "interest_encoder.query.weight"  # from the history's encoding to the interest
ITEM_SOURCES = "item_sources."
EVENT_SOURCES = "fusion.levels."
MEMORY = "memory."  # tables of transitions, absent without a memory
REQUEST = "request."  # tables of the time of a request, absent without request_time
MEMORY_TABLES = ("followers", "counts", "support")
TEXT = "text"  # the source of item vectors that is built in

# Prefixes of the parameters from the history's encoding to the score.
HEAD = ("interest_encoder.query.", "interest_encoder.block.", REQUEST, LOG_SCALE, REPEAT_BIAS)


def item_key(source: str, part: str) -> str:
    """Key of a part (``vectors``, ``present``, ``mean``, ``whitening``, ``project.weight``, ``absent``) of a source."""
    return f"{ITEM_SOURCES}{source}.{part}"


def table_key(source: str) -> str:
    """Key of the table of a source of events."""
    return f"{EVENT_SOURCES}{source}.weight"


def values_key(source: str) -> str:
    """Key of the levels' values of a source of numbers."""
    return f"{EVENT_SOURCES}{source}.values"


def item_sources_in(state: Iterable[str]) -> list[str]:
    """Sources of item vectors that a state has, in their order."""
    ends = "." + "vectors"
    return [key[len(ITEM_SOURCES) : -len(ends)] for key in state if key.startswith(ITEM_SOURCES) and key.endswith(ends)]


# Before the sources, the network had these keys; checkpoints and exports of that time still have them.
OLD_KEYS = {
    "item_encoder.id_embedding.weight": ID,
    "item_encoder.text_projection.weight": item_key(TEXT, "project.weight"),
    "item_encoder.no_text": item_key(TEXT, "absent"),
    "item_text.vectors": item_key(TEXT, "vectors"),
    "item_text.has_text": item_key(TEXT, "present"),
    "item_text.mean": item_key(TEXT, "mean"),
    "item_text.projection": item_key(TEXT, "whitening"),
    "rating_values": f"{EVENT_SOURCES}rating.values",
}


NEW_KEYS = {new: old for old, new in OLD_KEYS.items()}


def renamed(state: Mapping[str, Value]) -> dict[str, Value]:
    """A state under today's keys."""
    return {OLD_KEYS.get(key, key): value for key, value in state.items()}
