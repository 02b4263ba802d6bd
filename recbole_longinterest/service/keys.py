"""API keys: a file with one line per key: name, roles, SHA-256 of the key. The keys themselves are not stored.

A key is 32 random bytes, which cannot be guessed, so the hash needs no salt and no slow hash function.
"""

import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from logging import ERROR
from pathlib import Path
from time import monotonic

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text
from recbole_longinterest.service.logs import log

ROLES = ("read", "write", "admin")
PREFIX = "rli_"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
LOOK_AGAIN = 1.0  # seconds between checks of the file; a removed key is rejected after the next check
HEAD = "# API keys of recbole-li serve: name, roles (read, write, admin), SHA-256 of the key.\n"


@dataclass(frozen=True)
class Client:
    """The client that sends a request.

    Attributes:
        name: name of the key, for logs and rate limits.
        roles: roles of the key.
    """

    name: str
    roles: frozenset[str]


LOCAL = Client("local", frozenset(ROLES))  # client of a service without keys, which listens only on loopback


class Keys:
    """The keys of a file, read again when it changes.

    Args:
        file: a file written by :func:`add_key`.

    Raises:
        LongInterestError: for a file that is missing, has no key, or has an invalid line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp = self._stamp_now()
        self._clients = read_keys(file)
        if not self._clients:
            raise LongInterestError(f"{file} holds no API key. Make one with --add-key NAME:read,write.")
        self._looked = monotonic()

    def client(self, key: str) -> Client | None:
        """Return the client of a key; None for an unknown key."""
        if monotonic() - self._looked > LOOK_AGAIN:
            self._look_again()
        return self._clients.get(sha256(key.encode("utf-8", "surrogatepass")).hexdigest())

    def _look_again(self) -> None:
        self._looked = monotonic()
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._clients = read_keys(self._file) if stamp else {}
        except LongInterestError as error:  # half-finished edit: keep the old keys until the next change
            log("keys", ERROR, detail=str(error))

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            about = self._file.stat()
        except OSError:
            return None
        return about.st_ino, about.st_size, about.st_mtime_ns


def read_keys(file: Path) -> dict[str, Client]:
    """Read the clients by the SHA-256 of their keys.

    Raises:
        LongInterestError: for a file that is missing or has an invalid line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise LongInterestError(
            f"The file of API keys {file} cannot be read: {reason}. Make it with --add-key NAME:read,write."
        ) from error
    clients: dict[str, Client] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split()
        roles = cells[1].split(",") if len(cells) == 3 else []
        if not roles or not set(roles) <= set(ROLES) or not re.fullmatch("[0-9a-f]{64}", cells[2]):
            raise LongInterestError(
                f"{file}, line {number}: a line must have a name, roles ({', '.join(ROLES)}, separated by commas) and "
                "the SHA-256 of a key, separated by spaces. Make it with --add-key NAME:read,write."
            )
        clients[cells[2]] = Client(cells[0], frozenset(roles))
    return clients


def add_key(file: Path, name: str, roles: Iterable[str]) -> str:
    """Generate a key, and add its hash to a file that only its owner can read.

    Returns:
        The key; it is not stored anywhere.

    Raises:
        LongInterestError: for an invalid or repeated name, or unknown roles.
    """
    roles = list(roles)
    if not NAME.fullmatch(name):
        raise LongInterestError(f"The name of an API key must have 1 to 64 characters A-Z a-z 0-9 . _ -; got {name!r}.")
    if not roles or not set(roles) <= set(ROLES):
        raise LongInterestError(f"The roles of an API key must be some of {', '.join(ROLES)}; got {','.join(roles)!r}.")
    known = read_keys(file) if file.exists() else {}
    if any(client.name == name for client in known.values()):
        raise LongInterestError(f"{file} already has a key named {name}. Remove its line first, or use another name.")
    key = PREFIX + secrets.token_urlsafe(32)
    before = file.read_text(encoding="utf-8") if file.exists() else HEAD
    text = before + ("" if before.endswith("\n") else "\n")
    digest = sha256(key.encode()).hexdigest()
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))  # the file that replaces it keeps its mode
    write_text(file, f"{text}{name} {','.join(roles)} {digest}\n")
    return key
