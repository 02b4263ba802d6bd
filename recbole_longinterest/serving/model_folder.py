"""The format of an exported folder: network, items and settings, as safetensors and JSON.

A folder has ``settings.json``, ``items.json``, ``model.safetensors``, engine files such as ``step.onnx``, and
``manifest.json`` with the SHA-256 of all of them. It has no pickles, and it can be read without RecBole, ray or
transformers.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import atomic_folder
from recbole_longinterest.common.json_text import parse_json
from recbole_longinterest.common.leftovers import standing
from recbole_longinterest.nn.finite import NotFiniteError, check_finite
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import renamed, table_key, values_key
from recbole_longinterest.serving.int8 import packed, unpacked
from recbole_longinterest.serving.manifest import (
    AGAIN,
    MANIFEST,
    SIGNATURE,
    ExportError,
    Manifest,
    read_manifest,
    write_manifest,
)
from recbole_longinterest.serving.model_card import CARD, model_card
from recbole_longinterest.serving.served import Items, Served, fingerprint_of
from recbole_longinterest.serving.signing import TrustedKey

FORMAT = "recbole-longinterest export"
VERSION = 3
READABLE = (1, 2, VERSION)  # version 1 had only ratings, behaviours and times as sources; version 3 added the manifest
WITH_SOURCES, WITH_MANIFEST = 2, 3
SETTINGS, ITEMS, WEIGHTS = "settings.json", "items.json", "model.safetensors"


def write_folder(
    served: Served,
    folder: Path,
    more: Callable[[Path], object] | None = None,
    *,
    check: Callable[[Path], object] | None = None,
    sign: str | Path | None = None,
) -> None:
    """Write a folder atomically: if it fails, an earlier export in this folder does not change.

    Args:
        served: the model.
        folder: folder to write; an earlier export is replaced.
        more: writes further files into the draft of the folder.
        check: reads the finished draft, and raises an error to cancel the export.
        sign: PEM file of a private key that signs the manifest.

    Raises:
        ExportError: if the folder exists and is not an export, or cannot be written.
        FileLockError: if another process writes the folder.
        NotFiniteError: for weights that are NaN or infinite.
    """
    from recbole_longinterest.common.version import __version__  # late: takes 0.1 s, not needed for reading

    folder = folder.absolute()  # for the full path in error messages
    check_finite(served.weights, f"The model for {folder}")
    try:
        with held_place(folder), atomic_folder(folder) as draft:
            save_file(packed(served.weights, int8=served.precision != "fp32"), draft / WEIGHTS)
            (draft / WEIGHTS).chmod(0o644)  # safetensors creates files readable only by the owner
            (draft / ITEMS).write_text(json.dumps(asdict(served.items), ensure_ascii=False), encoding="utf-8")
            if more is not None:
                more(draft)
            settings = {
                "format": FORMAT,
                "version": VERSION,
                "options": asdict(served.options),
                "sources": [asdict(spec) for spec in served.sources],
                **{name: getattr(served, name) for name in SETTING_NAMES},
            }
            (draft / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False, indent=1), encoding="utf-8")
            versions = {"recbole-longinterest": __version__, "torch": str(torch.__version__)}
            write_manifest(draft, VERSION, versions, served.parent, sign)
            # Not in the manifest, because people may edit it.
            (draft / CARD).write_text(model_card(served), encoding="utf-8")
            if check is not None:
                check(draft)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{folder} could not be written: {error}. Give another --output, or make room.") from error


@contextlib.contextmanager
def held_place(folder: Path) -> Iterator[None]:
    """Lock a folder against other writers, for reading and rewriting it.

    Args:
        folder: the folder; leftovers of a killed writer are cleaned up first.

    Raises:
        ExportError: as :func:`check_place`.
        FileLockError: if another process writes the folder.
    """
    folder = folder.absolute()
    with lock_files(folder, "writing", "give another --output", again=True):
        check_place(folder)
        yield


def check_place(folder: Path) -> None:
    """Check that :func:`write_folder` may write to a folder.

    Raises:
        ExportError: if it exists and is neither an export nor empty, or has files that the export did not write.
    """
    if folder.exists() and not is_export(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} exists and is not an exported model. Give another --output.")
    if foreign := _foreign(folder):
        raise ExportError(
            f"{folder} is an exported model that would be replaced, but it has {foreign[0]!r}, which the export did "
            "not write. Move that file away, or give another --output."
        )


SETTING_NAMES = ("history_limit", "fields", "about", "precision")


def is_export(folder: Path) -> bool:
    """Whether a folder was written by :func:`write_folder`, in any version."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return parse_json((folder / SETTINGS).read_bytes()).get("format") == FORMAT
    return False


def _foreign(folder: Path) -> list[str]:
    """List the files in an export that :func:`write_folder` did not write."""
    if not is_export(folder):
        return []
    names = {SETTINGS, ITEMS, WEIGHTS, MANIFEST, SIGNATURE, CARD}
    for file, key in ((SETTINGS, "bytes"), (MANIFEST, "files")):  # earlier exports had no manifest
        with contextlib.suppress(OSError, ValueError, AttributeError):
            names |= set(parse_json((folder / file).read_bytes()).get(key) or ())
    return sorted({each.name for each in folder.iterdir()} - names)


def read_folder(folder: str | Path, *, trusted_key: TrustedKey | None = None, mapped: bool = False) -> Served:
    """Read a folder, and check it against its manifest.

    After a killed writer the old folder is read; a folder that is replaced while it is read is read again.

    Args:
        folder: the folder.
        trusted_key: public key in PEM, or the path of its file, that must have signed the manifest.
        mapped: memory-map the weights instead of loading them; processes then share them, and the file must not change
            while a process serves it.

    Raises:
        ExportError: for a folder that is missing, broken, changed, of an unsupported version, or not an export.
        NotFiniteError: for weights that are NaN or infinite.
        SignatureError: for a folder that the trusted key did not sign.
    """
    while True:
        place = standing(Path(folder))
        before = _identity(place)
        try:
            served = _read_folder(place, trusted_key, mapped)
        except (LongInterestError, OSError):
            if _identity(place) == before:
                raise
        else:
            if _identity(place) == before:
                return served


def _identity(folder: Path) -> tuple[int, int] | None:
    """Identify the folder that currently has a path; None if it does not exist."""
    with contextlib.suppress(OSError):
        found = folder.stat()
        return found.st_dev, found.st_ino
    return None


def _read_folder(folder: Path, trusted_key: TrustedKey | None, mapped: bool) -> Served:
    if not (folder / SETTINGS).is_file():
        what = "is not an exported model: it has no settings.json" if folder.is_dir() else "does not exist"
        raise ExportError(f"The model folder {folder} {what}. Make one: recbole-li export CHECKPOINT --output {folder}")
    manifest = read_manifest(folder, trusted_key)
    try:
        raw = (folder / SETTINGS).read_bytes() if manifest is None else manifest.content(SETTINGS)
    except OSError as error:
        raise ExportError(f"{folder / SETTINGS} cannot be read: {error.strerror}. {AGAIN}") from error
    settings = _json(raw, folder / SETTINGS)
    if settings.get("format") != FORMAT:
        raise ExportError(f"The model folder {folder} is not an exported model: its settings.json has another format.")
    version = settings.get("version")
    if version not in READABLE:
        raise ExportError(
            f"The model folder {folder} has version {version}, but only versions up to {VERSION} can be read. Export "
            "the checkpoint again, or install the recbole-longinterest that wrote it."
        )
    if manifest is None:
        if version >= WITH_MANIFEST:
            raise ExportError(f"The model folder {folder} has lost its {MANIFEST}. {AGAIN}")
        _check_sizes(folder, settings.get("bytes"))
        _say_unchecked(folder.absolute())
    else:
        for name in manifest.files:
            if name not in (SETTINGS, ITEMS) and (name != WEIGHTS or mapped):
                manifest.check(name)
    try:
        served = _read(folder, settings, manifest, mapped)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, (ExportError, NotFiniteError)):
            raise
        raise ExportError(f"The model folder {folder} is broken: {error}. {AGAIN}") from error
    return served


def _read(folder: Path, settings: Mapping[str, Any], manifest: Manifest | None, mapped: bool) -> Served:
    """Read the model of a folder with a supported version."""

    def content(name: str) -> bytes:
        return (folder / name).read_bytes() if manifest is None else manifest.content(name)

    limit = settings["history_limit"]
    if limit is not None and (type(limit) is not int or limit < 1):
        raise LongInterestError(
            f"history_limit in {SETTINGS} must be null or a whole number of at least 1; got {limit!r}"
        )
    stored = load_file(folder / WEIGHTS) if mapped else load(content(WEIGHTS))
    items = _items(_json(content(ITEMS), folder / ITEMS))
    precision = settings["precision"]
    fingerprint = "" if precision == "fp32" else fingerprint_of(renamed(stored), precision, items.tokens)
    weights = renamed(unpacked(stored))
    check_finite(weights, f"The model folder {folder}")
    return Served(
        options=ModelOptions.from_config(_Unset(settings["options"])),
        weights=weights,
        items=items,
        sources=_sources(settings, weights),
        history_limit=limit,
        fields=dict(settings["fields"]),
        about=dict(settings["about"]),
        precision=precision,
        folder=folder,
        manifest=manifest,
        parent=None if manifest is None else manifest.parent,
        known_fingerprint=fingerprint,
    )


def _check_sizes(folder: Path, sizes: object) -> None:
    """Check the file sizes of an export of an earlier version, which had no checksums."""
    if not isinstance(sizes, dict):
        raise ExportError(
            f"The model folder {folder} is broken: bytes in {SETTINGS} must be sizes of files; got {sizes!r}. {AGAIN}"
        )
    for name, size in sizes.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            state = "is missing" if found is None else f"was cut short or changed: {found} bytes in place of {size}"
            raise ExportError(f"{folder / name} {state}. {AGAIN}")


@lru_cache
def _say_unchecked(folder: Path) -> None:
    getLogger().warning(
        f"{folder} is an export of an earlier version without checksums, so changes cannot be detected. Export the "
        "checkpoint again to add them."
    )


def _sources(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> list[SourceSpec]:
    """Read the event sources from the settings of a folder."""
    if settings["version"] >= WITH_SOURCES:
        specs = [SourceSpec(**spec) for spec in settings["sources"]]
        if not all(isinstance(spec.settings, dict) and isinstance(spec.name, str) for spec in specs):
            raise LongInterestError(f"sources in {SETTINGS} must have names and settings")
        return specs
    made: list[tuple[str, dict[str, Any]]] = []
    fields = settings["fields"]
    if values_key("rating") in weights:
        scale, values = settings["rating_range"], weights[values_key("rating")]
        span = None if scale is None else [float(bound) for bound in scale]
        made.append(("rating", {"values": values.tolist(), "range": span}))
    if settings["behaviors"]:
        names = settings["about"].get("behavior_map") or {}
        made.append(("behavior", {"tokens": list(settings["behaviors"]), "map": names}))
    if table_key("time") in weights:
        made.append(("time", {}))
    return [SourceSpec(name, name, fields[name], settings=learned) for name, learned in made]


def _items(content: dict[str, Any]) -> Items:
    items = Items(**content)
    columns = [items.tokens, items.titles, items.categories, *([items.recent] if items.recent is not None else [])]
    if not all(isinstance(column, list) and len(column) == len(items.tokens) for column in columns):
        raise LongInterestError(f"tokens, titles and categories in {ITEMS} must be lists of one length")
    texts = [*items.tokens, *items.titles]
    lists = all(isinstance(value, list) and all(isinstance(part, str) for part in value) for value in items.categories)
    if not items.tokens or not lists or not all(isinstance(value, str) for value in texts):
        raise LongInterestError(f"tokens and titles in {ITEMS} must be texts, and categories lists of texts")
    if not all(type(count) is int and count >= 0 for count in items.recent or ()):
        raise LongInterestError(f"recent in {ITEMS} must be numbers of events")
    return items


class _Unset(dict[str, Any]):
    """Options of a file; missing options are None, which :class:`ModelOptions` rejects."""

    def __missing__(self, key: str) -> None:
        return None


def _json(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        content = parse_json(raw)
    except ValueError as error:
        raise ExportError(f"{path} is broken or was cut short: {error}. {AGAIN}") from error
    if not isinstance(content, dict):
        raise ExportError(f"{path} is broken: it holds {type(content).__name__}. {AGAIN}")
    return content
