"""A user's state as bytes and back: versioned, with a checksum, no pickle, little-endian."""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.json_text import JsonError, parse_json

MAGIC = b"RLIS"
VERSION, WITH_USER = 2, 3  # a state with features of its user ends in them, as JSON
HEADER = struct.Struct("<4sH8sIdQIIII")  # magic, version, model, checksum, last time, events, sizes of the four parts
CHECKED = struct.calcsize("<4sH8sI")  # offset of the first byte that the checksum covers


@dataclass(frozen=True)
class StateContent:
    """What the bytes of a state hold.

    Attributes:
        parts: the encoder's recurrent state and attention sums, and the interest vector; floating-point tensors.
        last_time: time of the last event, NaN if it had none.
        events: number of events.
        seen: internal ids of the items of the events.
        user: values of ``user_features``, None for none; numbers, texts and lists of them.
    """

    parts: Sequence[Tensor]
    last_time: float
    events: int
    seen: set[int]
    user: Mapping[str, Any] | None = None


def pack(content: StateContent, fingerprint: str) -> bytes:
    """Write a state as bytes.

    Args:
        content: of the state.
        fingerprint: of its model.
    """
    parts = [part.contiguous().numpy() for part in content.parts]
    ids = np.array(sorted(content.seen), dtype="<u4")
    raw = [part.astype(part.dtype.newbyteorder("<")).tobytes() for part in parts] + [ids.tobytes()]
    model, version = bytes.fromhex(fingerprint), VERSION if content.user is None else WITH_USER
    user = b"" if content.user is None else json.dumps(dict(content.user), default=_plain).encode()

    def whole(checksum: int) -> bytes:
        head = HEADER.pack(MAGIC, version, model, checksum, content.last_time, content.events, *map(len, raw))
        return head + b"".join(raw) + user

    return whole(zlib.crc32(whole(0)[CHECKED:]))


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON's own form of it
    """A numpy number or array, a set or another collection as JSON can hold it."""
    return value.tolist() if hasattr(value, "tolist") else list(value)


def unpack(data: bytes, like: Sequence[Tensor], fingerprint: str, n_items: int) -> StateContent:
    """Read the bytes of a state.

    Args:
        data: from :func:`pack`.
        like: tensors with the shapes and dtypes of the parts, in their order; their values are not read.
        fingerprint: of the model that the state should belong to.
        n_items: number of its items.

    Raises:
        LongInterestError: for other bytes, or bytes of another version, of another model, cut short or changed.
    """
    if not isinstance(data, (bytes, bytearray)) or data[:4] != MAGIC or len(data) < HEADER.size:
        raise LongInterestError("These bytes are no InterestState, or were cut short.")
    _, version, model, checksum, last_time, events, *sizes = HEADER.unpack_from(data)
    if version not in (VERSION, WITH_USER):
        raise LongInterestError(
            f"This InterestState has version {version}; this is the reader of versions {VERSION} and {WITH_USER}. "
            "Make it again from the user's events."
        )
    if model.hex() != fingerprint:
        raise LongInterestError(
            f"This InterestState belongs to the model {model.hex()}, and this is {fingerprint}. "
            "Make it again from the user's events."
        )
    wanted = [part.numel() * part.element_size() for part in like]
    end = HEADER.size + sum(sizes)
    fits = sizes[:-1] == wanted and not sizes[-1] % 4 and (len(data) == end if version == VERSION else len(data) > end)
    if not fits or zlib.crc32(data[CHECKED:]) != checksum:
        raise LongInterestError("This InterestState was cut short or changed. Make it again from the user's events.")
    parts, at = [], HEADER.size
    for part, size in zip(like, wanted, strict=True):
        values = np.frombuffer(data, f"<f{part.element_size()}", part.numel(), at).copy()
        parts.append(torch.from_numpy(values).view(part.shape))
        at += size
    seen = np.frombuffer(data, "<u4", sizes[-1] // 4, at).tolist()
    if seen and max(seen) > n_items:
        raise LongInterestError("This InterestState was changed: it has items that its model does not have.")
    if not all(part.isfinite().all() for part in (parts[0], parts[-1])):  # sums may hold minus infinity
        raise LongInterestError(
            "This InterestState holds numbers that are NaN or infinite. Make it again from the user's events."
        )
    user = None if version == VERSION else _user(data[end:])
    return StateContent(parts, last_time, events, set(seen), user)


def _user(data: bytes) -> dict[str, Any]:
    """Values of a user's features."""
    try:
        user = parse_json(data)
        if not isinstance(user, dict):
            raise JsonError("the features of its user are no dict")
    except JsonError as error:
        raise LongInterestError(
            f"This InterestState was changed: {error}. Make it again from the user's events."
        ) from error
    return user
