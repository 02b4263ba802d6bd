"""The manifest of an exported folder: checksums of all files, and the origin of the model.

``manifest.json`` lists each file with its size and SHA-256, and ends with its own checksum, so that an incomplete or
changed folder is never read. There may be a signature of the manifest beside it (:mod:`.signing`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.json_text import JsonError, parse_json
from recbole_longinterest.serving.signing import TrustedKey, check_signature, signature_of

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FORMAT, VERSION = "recbole-longinterest manifest", 1
AGAIN = "Export the checkpoint again."


class ExportError(LongInterestError):
    """A folder that is not an exported model, or cannot be read or written."""


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read.

    Attributes:
        folder: the exported folder.
        files: size and SHA-256 of each file.
        export: version of the folder's format.
        versions: versions of the packages that wrote it.
        parent: name and SHA-256 of the checkpoint; None without a checkpoint.
        sha256: hash of the manifest itself.
        signed: whether there is a signature; it is verified only with a trusted key.
    """

    folder: Path
    files: Mapping[str, tuple[int, str]]
    export: int
    versions: Mapping[str, str]
    parent: Mapping[str, str] | None
    sha256: str
    signed: bool

    def content(self, name: str) -> bytes:
        """Read a file and check it.

        Raises:
            ExportError: for a file that is missing, not in the manifest, or different from the manifest.
        """
        path = self._path(name)
        content = path.read_bytes()
        self._compare(path, len(content), sha256(content).hexdigest())
        return content

    def check(self, name: str) -> None:
        """Check a file without keeping it in memory.

        Raises:
            ExportError: as :meth:`content`.
        """
        path = self._path(name)
        self._compare(path, path.stat().st_size, file_hash(path))

    def _path(self, name: str) -> Path:
        path = self.folder / name
        if name not in self.files:
            raise ExportError(f"{path} is not in the folder's {MANIFEST}: the export did not write it. {AGAIN}")
        if not path.is_file():
            raise ExportError(f"{path} is missing. {AGAIN}")
        size = path.stat().st_size
        if size != self.files[name][0]:  # checked before reading, because the file could have any size
            wanted = self.files[name][0]
            raise ExportError(f"{path} was cut short or changed: {size} bytes in place of {wanted}. {AGAIN}")
        return path

    def _compare(self, path: Path, size: int, digest: str) -> None:
        if (size, digest) != self.files[path.name]:
            raise ExportError(
                f"{path} was changed after it was written: its SHA-256 differs from the manifest's. {AGAIN}"
            )


def write_manifest(
    folder: Path,
    export: int,
    versions: Mapping[str, str],
    parent: Mapping[str, str] | None = None,
    sign: str | Path | None = None,
) -> None:
    """Write the manifest of all files in a folder.

    Args:
        folder: the complete folder.
        export: version of the folder's format.
        versions: versions of the packages that write it.
        parent: name and SHA-256 of the checkpoint.
        sign: file of a private key that signs the manifest.

    Raises:
        LongInterestError: for a key that cannot be used.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name not in (MANIFEST, SIGNATURE))
    content = {
        "format": FORMAT,
        "version": VERSION,
        "export": export,
        "versions": dict(versions),
        "parent": None if parent is None else dict(parent),
        "files": {file.name: {"bytes": file.stat().st_size, "sha256": file_hash(file)} for file in files},
    }
    text = _rendered(content)
    (folder / MANIFEST).write_bytes(text)
    if sign is not None:
        (folder / SIGNATURE).write_bytes(signature_of(text, sign))


def _rendered(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest; the checksum covers its content without the checksum itself."""
    checksum = sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    return (json.dumps({**content, "checksum": checksum}, ensure_ascii=False, indent=1) + "\n").encode()


def read_manifest(folder: Path, trusted_key: TrustedKey | None = None) -> Manifest | None:
    """Read the manifest of a folder; None without one (exports of earlier versions).

    Args:
        folder: an exported folder.
        trusted_key: public key that must have signed the manifest.

    Raises:
        ExportError: for a changed manifest; with a key, also for a missing manifest or signature.
        LongInterestError: for a key that cannot be used.
    """
    path, signature = folder / MANIFEST, folder / SIGNATURE
    if not path.is_file():
        if trusted_key is not None:
            raise ExportError(f"{folder} has no {MANIFEST}, so it is not signed. Export it with --sign.")
        return None
    raw = path.read_bytes()
    if trusted_key is not None:
        if not signature.is_file():
            raise ExportError(f"{folder} is not signed: it has no {SIGNATURE}. Export it with --sign.")
        check_signature(raw, signature.read_bytes(), trusted_key, folder)
    try:
        content = parse_json(raw)
        known = {name: value for name, value in content.items() if name != "checksum"}
        if _rendered(known) != raw:
            raise JsonError("its checksum does not match its content")
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise JsonError(f"it has format {content['format']!r}, version {content['version']!r}")
        files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in content["files"].items()}
        _check_names(files)
        return Manifest(
            folder=folder,
            files=files,
            export=content["export"],
            versions=content["versions"],
            parent=content["parent"],
            sha256=sha256(raw).hexdigest(),
            signed=signature.is_file(),
        )
    except (JsonError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExportError(f"{path} is broken or was changed: {error}. {AGAIN}") from error


def _check_names(names: Iterable[str]) -> None:
    """Check that a manifest lists only files of its own folder."""
    for name in names:
        if Path(name).name != name or "\\" in name or name in (".", "..", MANIFEST, SIGNATURE):
            raise JsonError(f"{name!r} is not the name of a file in the folder")
