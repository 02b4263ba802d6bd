"""Serialise user states: versioned, little-endian, with a checksum, without pickle."""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.json_text import JsonError, parse_json
from recbole_longinterest.nn.memory import EVENTS

MAGIC = b"RLIS"
# Versions: WITH_USER appends the user's features as JSON; WITH_BEHAVIORS also appends the behaviours of the seen items.
# WITH_RECENT, for models with a memory of transitions, also has the last items before the seen items.
VERSION, WITH_USER, WITH_BEHAVIORS, WITH_RECENT = 2, 3, 4, 5
HEADER = struct.Struct("<4sH8sIdQIIII")  # magic, version, model, checksum, last time, events, sizes of the four parts
CHECKED = struct.calcsize("<4sH8sI")  # offset of the first byte that the checksum covers


@dataclass(frozen=True)
class StateContent:
    """Content of a serialised state.

    Attributes:
        parts: the encoder's recurrent state and attention sums, and the interest vector; floating-point tensors.
        last_time: time of the last event, NaN if missing.
        events: number of events.
        seen: internal ids of the items of the events.
        user: values of ``user_features`` (numbers, texts and lists of them); None without any.
        seen_by: the seen items by behaviour of the events; empty if behaviours are not stored.
        recent: internal ids of the items of the last events, latest first; None for a model without a transition
            memory.
    """

    parts: Sequence[Tensor]
    last_time: float
    events: int
    seen: set[int]
    user: Mapping[str, Any] | None = None
    seen_by: dict[str, set[int]] = field(default_factory=dict)
    recent: Sequence[int] | None = None


def pack(content: StateContent, fingerprint: str) -> bytes:
    """Serialise a state.

    Args:
        content: content of the state.
        fingerprint: fingerprint of its model.
    """
    parts = [part.contiguous().numpy() for part in content.parts]
    groups = _by_behaviors(content)
    last = [] if content.recent is None else _padded(content.recent)
    ids = np.array([*last, *(item for group in groups.values() for item in sorted(group))], dtype="<u4")
    raw = [part.astype(part.dtype.newbyteorder("<")).tobytes() for part in parts] + [ids.tobytes()]
    model, version = bytes.fromhex(fingerprint), VERSION if content.user is None else WITH_USER
    end: Any = None if content.user is None else dict(content.user)
    if content.seen_by or content.recent is not None:
        version = WITH_BEHAVIORS if content.recent is None else WITH_RECENT
        end = {"user": end, "seen": [[names, len(group)] for names, group in groups.items()]}
    user = b"" if end is None else json.dumps(end, default=_plain).encode()

    def whole(checksum: int) -> bytes:
        head = HEADER.pack(MAGIC, version, model, checksum, content.last_time, content.events, *map(len, raw))
        return head + b"".join(raw) + user

    return whole(zlib.crc32(whole(0)[CHECKED:]))


def _padded(recent: Sequence[int]) -> list[int]:
    return [*recent[:EVENTS], *[0] * (EVENTS - len(recent))]


def _by_behaviors(content: StateContent) -> dict[tuple[str, ...], set[int]]:
    """Group the seen items by their set of behaviours, so that each item is written once."""
    had: dict[int, list[str]] = {item: [] for item in content.seen}
    for name in sorted(content.seen_by):
        for item in content.seen_by[name]:
            had.setdefault(item, []).append(name)
    groups: dict[tuple[str, ...], set[int]] = {}
    for item, names in had.items():
        groups.setdefault(tuple(names), set()).add(item)
    return dict(sorted(groups.items()))


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON's own form of it
    """Convert a numpy value, a set or another collection to a JSON value."""
    return value.tolist() if hasattr(value, "tolist") else list(value)


def unpack(data: bytes, like: Sequence[Tensor], fingerprint: str, n_items: int) -> StateContent:
    """Deserialise a state.

    Args:
        data: from :func:`pack`.
        like: tensors with the shapes and dtypes of the parts, in order; their values are not used.
        fingerprint: fingerprint of the expected model.
        n_items: number of items of the model.

    Raises:
        LongInterestError: for invalid, truncated or changed bytes, or bytes of another version or model.
    """
    if not isinstance(data, (bytes, bytearray)) or data[:4] != MAGIC or len(data) < HEADER.size:
        raise LongInterestError("These bytes are not an InterestState, or were cut short.")
    _, version, model, checksum, last_time, events, *sizes = HEADER.unpack_from(data)
    if version not in (VERSION, WITH_USER, WITH_BEHAVIORS, WITH_RECENT):
        raise LongInterestError(
            f"This InterestState has version {version}, but only versions {VERSION} to {WITH_RECENT} can be read. "
            "Rebuild it from the user's events."
        )
    if model.hex() != fingerprint:
        raise LongInterestError(
            f"This InterestState belongs to the model {model.hex()}, but this model is {fingerprint}. "
            "Rebuild it from the user's events."
        )
    wanted = [part.numel() * part.element_size() for part in like]
    end = HEADER.size + sum(sizes)
    least = 4 * EVENTS if version == WITH_RECENT else 0
    fits = sizes[:-1] == wanted and sizes[-1] >= least and not sizes[-1] % 4
    fits = fits and (len(data) == end if version == VERSION else len(data) > end)
    if not fits or zlib.crc32(data[CHECKED:]) != checksum:
        raise LongInterestError("This InterestState was cut short or changed. Rebuild it from the user's events.")
    parts, at = [], HEADER.size
    for part, size in zip(like, wanted, strict=True):
        values = np.frombuffer(data, f"<f{part.element_size()}", part.numel(), at).copy()
        parts.append(torch.from_numpy(values).view(part.shape))
        at += size
    seen = np.frombuffer(data, "<u4", sizes[-1] // 4, at).tolist()
    if seen and max(seen) > n_items:
        raise LongInterestError("This InterestState was changed: it has items that its model does not have.")
    if not all(part.isfinite().all() for part in (parts[0], parts[-1])):  # the attention sums may be minus infinity
        raise LongInterestError(
            "This InterestState has numbers that are NaN or infinite. Rebuild it from the user's events."
        )
    try:
        user, groups = _appendix(version, data[end:])
    except JsonError as error:
        raise LongInterestError(
            f"This InterestState was changed: {error}. Rebuild it from the user's events."
        ) from error
    seen_by: dict[str, set[int]] = {}
    recent = None
    if version == WITH_RECENT:
        recent, seen = [item for item in seen[:EVENTS] if item], seen[EVENTS:]
    left = iter(seen)
    for names, number in groups:
        group = set(islice(left, number))
        for name in names:
            seen_by.setdefault(name, set()).update(group)
    return StateContent(parts, last_time, events, set(seen), user, seen_by, recent)


def _appendix(version: int, data: bytes) -> tuple[dict[str, Any] | None, list[tuple[list[str], int]]]:
    """Parse the user's features, and the groups (behaviours, number of items) of the seen items.

    Raises:
        JsonError: for invalid content.
    """
    if version == VERSION:
        return None, []
    content = parse_json(data)
    groups: object = []
    if version in (WITH_BEHAVIORS, WITH_RECENT):
        if not isinstance(content, dict) or set(content) != {"user", "seen"}:
            raise JsonError("it has no user and no seen items")
        content, groups = content["user"], content["seen"]
    if not isinstance(content, dict) and not (content is None and version in (WITH_BEHAVIORS, WITH_RECENT)):
        raise JsonError("the features of its user are not a dict")
    if not isinstance(groups, list) or not all(_is_group(group) for group in groups):
        raise JsonError("the behaviours of its items are not lists of names with a number")
    return content, [(names, number) for names, number in groups]


def _is_group(group: object) -> bool:
    """Whether a value is a pair of behaviour names and a number of items."""
    if not isinstance(group, list) or len(group) != 2:
        return False
    names, number = group
    return (
        isinstance(names, list) and all(isinstance(name, str) for name in names) and type(number) is int and number >= 0
    )
