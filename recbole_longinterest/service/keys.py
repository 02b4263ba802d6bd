"""API keys: a file with a name, roles and the key's SHA-256 a line. The keys themselves stand nowhere.

A key is 32 random bytes, so its hash needs no salt and no slow function: there is nothing to guess.
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
LOOK_AGAIN = 1.0  # seconds after which the file is looked at again: a key that was removed is refused from then on
HEAD = "# API keys of recbole-li serve: name, roles (read, write, admin), SHA-256 of the key.\n"


@dataclass(frozen=True)
class Client:
    """Who sends a request.

    Attributes:
        name: of the key, for logs and limits.
        roles: what it may do.
    """

    name: str
    roles: frozenset[str]


LOCAL = Client("local", frozenset(ROLES))  # of a service without keys, which loopback alone reaches


class Keys:
    """The keys of a file, read again when it changes.

    Args:
        file: of :func:`add_key`.

    Raises:
        LongInterestError: for a file that is missing, holds no key, or has a line that is none.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp = self._stamp_now()
        self._clients = read_keys(file)
        if not self._clients:
            raise LongInterestError(f"{file} holds no API key. Make one with --add-key NAME:read,write.")
        self._looked = monotonic()

    def client(self, key: str) -> Client | None:
        """Who has a key; None for an unknown one."""
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
        except LongInterestError as error:  # half an edit: those of before stay until the next one
            log("keys", ERROR, detail=str(error))

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            about = self._file.stat()
        except OSError:
            return None
        return about.st_ino, about.st_size, about.st_mtime_ns


def read_keys(file: Path) -> dict[str, Client]:
    """Clients by the SHA-256 of their keys.

    Raises:
        LongInterestError: for a file that is missing, or has a line of another form.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
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
                f"{file}, line {number}: a line is NAME, roles of {', '.join(ROLES)} with commas, and the SHA-256 of a "
                "key, with spaces between them. Make it with --add-key NAME:read,write."
            )
        clients[cells[2]] = Client(cells[0], frozenset(roles))
    return clients


def add_key(file: Path, name: str, roles: Iterable[str]) -> str:
    """Make a key, and add its hash to a file, which nobody else may read.

    Returns:
        The key, which is nowhere else.

    Raises:
        LongInterestError: for a name of other characters, one that the file has, and other roles.
    """
    roles = list(roles)
    if not NAME.fullmatch(name):
        raise LongInterestError(f"The name of an API key has up to 64 of A-Z a-z 0-9 . _ -; got {name!r}.")
    if not roles or not set(roles) <= set(ROLES):
        raise LongInterestError(f"The roles of an API key are of {', '.join(ROLES)}; got {','.join(roles)!r}.")
    known = read_keys(file) if file.exists() else {}
    if any(client.name == name for client in known.values()):
        raise LongInterestError(f"{file} has a key of the name {name}. Remove its line first, or choose another name.")
    key = PREFIX + secrets.token_urlsafe(32)
    before = file.read_text(encoding="utf-8") if file.exists() else HEAD
    text = before + ("" if before.endswith("\n") else "\n")
    digest = sha256(key.encode()).hexdigest()
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))  # the draft that replaces it takes its mode
    write_text(file, f"{text}{name} {','.join(roles)} {digest}\n")
    return key
