"""Names of the network's tensors in state dicts, and so in checkpoints and exports.

The names are part of the file formats: a changed name needs an entry in :data:`OLD_KEYS`.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

ID = "id_embedding.weight"
TRAINED = "trained"
LOG_SCALE = "log_scale"  # for cosine logits; absent for dot products
REPEAT_BIAS = "repeat_bias"  # absent with repeat_bias: off
QUERY = "interest_encoder.query.weight"  # projection from encoder states to interest
ITEM_SOURCES = "item_sources."
EVENT_SOURCES = "fusion.levels."
MEMORY = "memory."  # transition tables; absent with memory: off
REQUEST = "request."  # request-time tables; absent without request_time
MEMORY_TABLES = ("followers", "counts", "support", "occurrences")
TEXT = "text"  # the built-in source of item vectors
TUNED = "tuned."  # updates of a source's encoder; absent unless it was trained with the network

# Prefixes of the parameters between encoder states and scores.
HEAD = ("interest_encoder.query.", "interest_encoder.block.", REQUEST, LOG_SCALE, REPEAT_BIAS)


def item_key(source: str, part: str) -> str:
    """Key of a part of an item source: ``vectors``, ``present``, ``mean``, ``whitening``, ``project.weight``, ..."""
    return f"{ITEM_SOURCES}{source}.{part}"


def table_key(source: str) -> str:
    """Key of the embedding table of an event source."""
    return f"{EVENT_SOURCES}{source}.weight"


def values_key(source: str) -> str:
    """Key of the level values of a numeric event source."""
    return f"{EVENT_SOURCES}{source}.values"


def item_sources_in(state: Iterable[str]) -> list[str]:
    """Names of the sources of item vectors in a state dict, in its order."""
    ends = "." + "vectors"
    return [key[len(ITEM_SOURCES) : -len(ends)] for key in state if key.startswith(ITEM_SOURCES) and key.endswith(ends)]


def tuned_name(layer: str) -> str:
    """Convert the name of an encoder's layer to a tensor name that torch accepts: without dots."""
    return layer.replace(".", "/")


def tuned_in(state: Mapping[str, Value], source: str = TEXT) -> dict[str, Value]:
    """Find the updates of a source's encoder in a state dict, by layer name; empty if it was not tuned."""
    start = item_key(source, TUNED)
    return {key[len(start) :].replace("/", "."): value for key, value in state.items() if key.startswith(start)}


# Old keys of checkpoints and exports from before sources were introduced.
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
    """Rename old keys of a state dict to current ones."""
    return {OLD_KEYS.get(key, key): value for key, value in state.items()}
