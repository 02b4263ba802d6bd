"""Cache of text vectors on disk, keyed by the hash of the text. Only this module knows the format.

The folder ``<cache>/<hash of the encoder's identity>`` holds ``encoder.json`` with the identity, and shards
``<SHA-256 of the file>.safetensors``. A shard has ``keys``, the SHA-256 of each text, uint8 [n, 32], and ``vectors``,
float32 [n, dim]. Shards are never changed; new texts are written to a new shard. A shard that does not match the hash
in its name is damaged. Because of these names, processes that write at the same time do not conflict.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from logging import getLogger
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_bytes
from recbole_longinterest.common.known_places import default_cache_dir
from recbole_longinterest.common.leftovers import sweep_folder
from recbole_longinterest.common.notebook import progress_bar

FORMAT = 1
BATCHES_A_PART = 4  # batches encoded in one call: the most that Ctrl-C loses
# A shard is written after this many texts or seconds. A killed process loses little more.
TEXTS_A_SHARD = 8192
SECONDS_A_SHARD = 30.0

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """An encoder of texts, such as :class:`~recbole_longinterest.text.encoder.TextEncoder`."""

    @property
    def identity(self) -> str:
        """Text that identifies everything, besides the texts, that the vectors depend on."""

    @property
    def batch_size(self) -> int:
        """Number of texts per batch."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode ``n`` texts to vectors, float32 [n, dim]."""


class CacheError(LongInterestError):
    """Vectors cannot be written to the cache, although the caller requires it."""


@dataclass(frozen=True)
class Filled:
    """Result of :func:`fill_cache`.

    Attributes:
        distinct: number of distinct texts.
        known: number of distinct texts whose vectors were already in the cache.
        folder: folder of the encoder's vectors.
    """

    distinct: int
    known: int
    folder: Path


def encode_cached(
    texts: Sequence[str], encoder: Encoder, cache_dir: Path | None = None, show_progress: bool = True
) -> Vectors:
    """Return vectors of texts, and encode only texts that are not in the cache.

    If all are cached, the encoder's model is not loaded. If the cache cannot be read or written, a warning is logged
    and the texts are encoded again; this is never an error.

    Args:
        texts: the texts; duplicates are allowed.
        encoder: encodes the texts that are not cached.
        cache_dir: folder of the cache; None for :func:`default_cache_dir`.
        show_progress: show a progress bar while encoding.

    Returns:
        float32 [n, dim], in the order of ``texts``; [0, 0] for no texts.
    """
    if not texts:
        return np.zeros((0, 0), dtype=np.float32)
    keys = _keys(texts)
    vectors, filled = _vectors(dict(zip(keys, texts, strict=True)), encoder, cache_dir, show_progress, must_keep=False)
    getLogger().info(
        f"{len(texts)} item texts ({filled.distinct} distinct): {filled.known} vectors from the cache "
        f"{filled.folder}, {filled.distinct - filled.known} encoded."
    )
    return np.stack([vectors[key] for key in keys])


def fill_cache(
    texts: Sequence[str], encoder: Encoder, cache_dir: Path | None = None, show_progress: bool = True
) -> Filled:
    """Encode the texts that are not cached and write their vectors to the cache.

    Args:
        texts: the texts; duplicates are allowed.
        encoder: encodes the texts that are not cached.
        cache_dir: folder of the cache; None for :func:`default_cache_dir`.
        show_progress: show a progress bar while encoding.

    Raises:
        CacheError: (a ValueError) if vectors cannot be written; vectors already in the cache are kept.
    """
    by_key = dict(zip(_keys(texts), texts, strict=True))
    return _vectors(by_key, encoder, cache_dir, show_progress, must_keep=True)[1]


def _keys(texts: Sequence[str]) -> list[bytes]:
    return [sha256(text.encode()).digest() for text in texts]


def _vectors(
    texts: dict[bytes, str], encoder: Encoder, cache_dir: Path | None, show_progress: bool, must_keep: bool
) -> tuple[dict[bytes, Vectors], Filled]:
    """Return vectors [dim] by key, from the cache or newly encoded and then cached. ``texts`` is by key, too."""
    identity = encoder.identity  # read once: new vectors are cached even if the encoder's folder disappears meanwhile
    folder = (cache_dir or default_cache_dir()) / sha256(identity.encode()).hexdigest()[:32]
    vectors = _load(folder, set(texts))
    filled = Filled(len(texts), len(vectors), folder)
    # Longest first, so that the texts of a batch have similar lengths, which saves padding.
    missing = sorted((key for key in texts if key not in vectors), key=lambda key: -len(texts[key]))
    fresh: dict[bytes, Vectors] = {}  # not yet in a shard
    due, started = TEXTS_A_SHARD, monotonic()
    try:
        with progress_bar(
            total=len(texts),
            initial=filled.known,
            desc="Encoding texts",
            unit="text",
            disable=not (show_progress and missing),
        ) as bar:
            size = BATCHES_A_PART * encoder.batch_size
            for start in range(0, len(missing), size):
                part = missing[start : start + size]
                fresh.update(zip(part, encoder.encode([texts[key] for key in part]), strict=True))
                bar.update(len(part))
                if len(fresh) >= due or monotonic() - started >= SECONDS_A_SHARD:
                    vectors.update(fresh)
                    fresh = {} if _save(folder, identity, fresh, must_keep) else fresh
                    due, started = len(fresh) + TEXTS_A_SHARD, monotonic()
    finally:  # also after Ctrl-C
        if fresh:
            _save(folder, identity, fresh, must_keep)
    vectors.update(fresh)
    return vectors, filled


def _load(folder: Path, wanted: set[bytes]) -> dict[bytes, Vectors]:
    """Read the wanted vectors [dim] from all undamaged shards, by key."""
    found: dict[bytes, Vectors] = {}
    dim = None
    for path, keys, vectors in _shards(folder):
        dim = dim or vectors.shape[1]
        if vectors.shape[1] != dim:
            getLogger().warning(f"Ignored the text cache file {path}: {vectors.shape[1]} dimensions, others {dim}.")
            continue
        for row, key in enumerate(keys):
            if key in wanted and key not in found:
                found[key] = vectors[row]
    return found


def _shards(folder: Path) -> Iterator[tuple[Path, list[bytes], Vectors]]:
    """Read path, keys and vectors of each shard. Damaged shards are skipped with a warning."""
    try:
        paths = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    except OSError as error:
        getLogger().warning(f"The text cache {folder} cannot be read ({error}); the texts are encoded again.")
        return
    for path in paths:
        try:
            yield path, *_read_shard(path)
        except (OSError, ValueError) as error:
            getLogger().warning(f"Ignored the text cache file {path} ({error}); its texts are encoded again.")


def _read_shard(path: Path) -> tuple[list[bytes], Vectors]:
    """Read keys and vectors of a shard.

    Raises:
        ValueError: if the file is damaged or not a shard.
    """
    data = path.read_bytes()
    if sha256(data).hexdigest() != path.stem:
        raise LongInterestError("damaged: its content does not match the hash in its name")
    try:
        tensors = load(data)
        keys, vectors = tensors["keys"], tensors["vectors"]
    except (SafetensorError, KeyError) as error:
        raise LongInterestError(f"not a shard: {error}") from error
    if not (keys.dtype == np.uint8 and vectors.dtype == np.float32 and keys.shape == (len(vectors), 32)):
        raise LongInterestError("not a shard: tensors of another shape or type")
    return [row.tobytes() for row in keys], vectors


def _save(folder: Path, identity: str, fresh: dict[bytes, Vectors], must_keep: bool) -> bool:
    """Write a shard and return whether it succeeded. A failure is an error if ``must_keep``, else a warning."""
    keys = np.frombuffer(b"".join(fresh), np.uint8).reshape(-1, 32)
    vectors = np.stack(list(fresh.values())).astype(np.float32)
    data = save({"keys": keys, "vectors": vectors})
    about = json.dumps({"format": FORMAT, "encoder": identity, "dim": vectors.shape[1]}, indent=2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep_folder(folder)  # temporary files of killed processes
        if not (folder / "encoder.json").is_file():
            write_bytes(folder / "encoder.json", about.encode())
        write_bytes(folder / f"{sha256(data).hexdigest()}.safetensors", data)
    except OSError as error:
        if must_keep:
            raise CacheError(
                f"The text vectors are not cached: {folder} cannot be written ({error}). Earlier ones are kept. "
                "Free disk space, or set RECBOLE_LI_CACHE to another folder, and run the same command again."
            ) from error
        getLogger().warning(
            f"The text vectors are not cached: {folder} cannot be written ({error}). "
            "Set RECBOLE_LI_CACHE to a folder that can be written."
        )
        return False
    return True
