"""Text vectors cached by content; the sole owner of the cache's file format.

``<cache>/<hash of the encoder's identity>/<hash of the keys>.safetensors`` holds ``keys`` (SHA-256 of each text, uint8
[n, 32]) and ``vectors`` (float32 [n, dim]); ``encoder.json`` beside them says which encoder made them. Files are never
changed, so any number of processes may read and write.
"""

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from logging import getLogger
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

PIECE = 8192  # texts encoded between two writes: what an interruption can lose


class Encoder(Protocol):
    """What the cache asks of an encoder."""

    @property
    def identity(self) -> str:
        """What its vectors depend on."""

    def encode(self, texts: Sequence[str], show_progress: bool = True) -> np.ndarray:
        """Vectors of texts, float32 [n, dim]."""


def cache_folder() -> Path:
    """The user's cache folder: ``RECBOLE_LI_CACHE``, else ``XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get("RECBOLE_LI_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "recbole_longinterest"


def encode_cached(
    texts: Sequence[str], encoder: Encoder, cache_dir: Path | None = None, show_progress: bool = True
) -> np.ndarray:
    """Vectors of texts: those in the cache are read, the others encoded and added to it.

    Args:
        texts: any strings; equal ones are encoded once.
        encoder: asked only for texts that the cache does not hold, so its model may never be loaded.
        cache_dir: the cache; :func:`cache_folder` if None.
        show_progress: show a progress bar while encoding.

    Returns:
        [n, dim], float32.
    """
    folder = (cache_dir or cache_folder()) / hashlib.sha256(encoder.identity.encode()).hexdigest()[:32]
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
    wanted = dict(zip(keys, texts, strict=True))
    known = _read(folder, wanted.keys())
    new = [key for key in wanted if key not in known]
    getLogger().info(f"Item texts: {len(wanted)} distinct, {len(wanted) - len(new)} cached, {len(new)} to encode.")
    for begin in range(0, len(new), PIECE):
        piece = new[begin : begin + PIECE]
        vectors = encoder.encode([wanted[key] for key in piece], show_progress)
        _write(folder, encoder.identity, piece, vectors)
        known.update(zip(piece, vectors, strict=True))
    if not keys:
        return encoder.encode([], show_progress)
    return np.stack([known[key] for key in keys]).astype(np.float32, copy=False)


def _read(folder: Path, wanted: Collection[bytes]) -> dict[bytes, np.ndarray]:
    """Vectors of the wanted keys from every file of the folder that can be read."""
    known: dict[bytes, np.ndarray] = {}
    dim: int | None = None
    for file in sorted(folder.glob("*.safetensors")):
        try:
            content = load_file(file)
            keys, vectors = content["keys"], content["vectors"]
            if keys.ndim != 2 or keys.shape[1] != 32 or vectors.ndim != 2 or len(keys) != len(vectors):
                raise ValueError("keys and vectors do not belong together")
            if dim not in (None, vectors.shape[1]):
                raise ValueError(f"{vectors.shape[1]} dimensions beside {dim}")
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            getLogger().warning(f"The text cache file {file} is damaged and left out ({error}).")
            continue
        dim = vectors.shape[1]
        for key, vector in zip(map(bytes, keys), vectors, strict=True):
            if key in wanted:
                known[key] = vector
    return known


def _write(folder: Path, identity: str, keys: Sequence[bytes], vectors: np.ndarray) -> None:
    """Add a file to the folder; a cache that cannot be written costs time, not the run."""
    name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
    tensors = {
        "keys": np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 32),
        "vectors": np.ascontiguousarray(vectors, dtype=np.float32),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "encoder.json", json.dumps({"identity": identity}, indent=2).encode())
        _replace(folder / f"{name}.safetensors", save(tensors))
    except OSError as error:
        getLogger().warning(f"Text vectors could not be cached in {folder} ({error}); they will be encoded again.")


def _replace(path: Path, content: bytes) -> None:
    """Write under a temporary name, then rename: a reader sees all of the file or none."""
    with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
