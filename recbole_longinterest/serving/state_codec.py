"""A user's state as bytes and back: versioned, with a checksum, no pickle, little-endian."""

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.layers import EncoderState

if TYPE_CHECKING:
    from recbole_longinterest.serving.state import InterestState

MAGIC = b"RLIS"
VERSION = 2
HEADER = struct.Struct("<4sH8sIdQIIII")  # magic, version, model, checksum, last time, events, sizes of the four parts
CHECKED = struct.calcsize("<4sH8sI")  # where what the checksum is of begins


def pack(state: "InterestState", seen: bool = True) -> bytes:
    """See :meth:`InterestState.to_bytes`."""
    parts = [part.contiguous().numpy() for part in (*state.encoder, state.interest)]
    ids = np.array(sorted(state.seen) if seen else [], dtype="<u4")
    raw = [part.astype(part.dtype.newbyteorder("<")).tobytes() for part in parts] + [ids.tobytes()]
    model = bytes.fromhex(state.recommender.fingerprint)

    def whole(checksum: int) -> bytes:
        head = HEADER.pack(MAGIC, VERSION, model, checksum, state.last_time, state.events, *map(len, raw))
        return head + b"".join(raw)

    return whole(zlib.crc32(whole(0)[CHECKED:]))


def unpack(new: "InterestState", data: Any) -> tuple[EncoderState, Tensor, float, int, set[int]]:  # noqa: ANN401
    """What :meth:`InterestState.from_bytes` makes a state of.

    Args:
        new: a state without events of the model that the bytes should belong to.
        data: of :func:`pack`.

    Returns:
        What the network keeps, the interest, the last time, the number of events, the seen items.

    Raises:
        ValueError: for bytes that are none, of another version, of another model, cut short or changed.
    """
    if not isinstance(data, (bytes, bytearray)) or data[:4] != MAGIC or len(data) < HEADER.size:
        raise LongInterestError("These bytes are no InterestState, or were cut short.")
    _, version, model, checksum, last_time, events, *sizes = HEADER.unpack_from(data)
    if version != VERSION:
        raise LongInterestError(
            f"This InterestState has version {version}; this is the reader of version {VERSION}. "
            "Make it again from the user's events."
        )
    recommender = new.recommender
    if model.hex() != recommender.fingerprint:
        raise LongInterestError(
            f"This InterestState belongs to the model {model.hex()}, and this is {recommender.fingerprint}. "
            "Make it again from the user's events."
        )
    like = (*new.encoder, new.interest)
    wanted = [part.numel() * part.element_size() for part in like]
    fits = sizes[:-1] == wanted and len(data) == HEADER.size + sum(sizes) and not sizes[-1] % 4
    if not fits or zlib.crc32(data[CHECKED:]) != checksum:
        raise LongInterestError("This InterestState was cut short or changed. Make it again from the user's events.")
    parts, at = [], HEADER.size
    for part, size in zip(like, wanted, strict=True):
        values = np.frombuffer(data, f"<f{part.element_size()}", part.numel(), at).copy()
        parts.append(torch.from_numpy(values).view(part.shape))
        at += size
    seen = np.frombuffer(data, "<u4", sizes[-1] // 4, at).tolist()
    if seen and max(seen) > recommender.n_items:
        raise LongInterestError("This InterestState was changed: it has items that its model has not.")
    return EncoderState(*parts[:-1]), parts[-1], last_time, events, set(seen)
