"""Rules that are read again when their file changes, while requests go on."""

import copy
import threading
import time
from collections.abc import Collection, Mapping
from hashlib import sha256
from logging import getLogger
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable
from recbole_longinterest.serving.rules.settings import RulesError, read_rules
from recbole_longinterest.serving.rules.shop_rules import ShopRules
from recbole_longinterest.serving.scorer import Scorer

PAUSE = 1.0  # seconds between two looks at the files
Marks = dict[Path, tuple[int, int] | None]


class RulesFile:
    """The rules of a file, as they stand.

    A change of the file, or of a file that it names, is seen by time and size, and counts if the content's hash
    changed. Rules that cannot be read leave the ones before in force, and say so in :attr:`problem` and the log.

    Args:
        path: of the yaml.
        scorer: the model.
        strategies: names that ``mix`` may use.
        pause: seconds between two looks at the files.

    Raises:
        RulesError: if the rules cannot be used at the start.

    Attributes:
        problem: why the file as it stands now is not in force; None if it is.
    """

    def __init__(self, path: str | Path, scorer: Scorer, strategies: Collection[str], pause: float = PAUSE) -> None:
        self.path, self.problem = Path(path), None
        self._scorer, self._strategies, self._pause = scorer, tuple(strategies), pause
        self._lock = threading.Lock()
        self._available: dict[str, bool] = {}
        self._rules = self._read()
        self._marks, self._hash = self._look(), self._digest()
        self._looked = time.monotonic()

    problem: str | None

    def current(self) -> ShopRules:
        """The rules in force; looks at the files if the last look was long ago."""
        if time.monotonic() - self._looked >= self._pause and self._lock.acquire(blocking=False):
            try:
                self._reload()
            finally:
                self._looked = time.monotonic()
                self._lock.release()
        if not self._rules.is_current:  # items were added to the model
            with self._lock:
                self._rules = self._rules.again()
        return self._rules

    def of_model(self, scorer: Scorer) -> "RulesFile":
        """The rules in force for another model, as it is after items were added; the files are watched as before.

        Raises:
            RulesError: if a file that they name cannot be used any more.
        """
        with self._lock:
            out = copy.copy(self)
            out._scorer, out._lock, out._available = scorer, threading.Lock(), dict(self._available)
            out._rules = self._rules.again(scorer)
        return out

    def set_available(self, availability: Mapping[str, bool]) -> None:
        """Say which items are in stock; it holds for rules that are read later, too. See :class:`ShopRules`."""
        with self._lock:
            self._available |= availability
            self._rules.set_available(availability)

    def _reload(self) -> None:
        marks = self._look()
        if marks == self._marks:
            return
        self._marks = marks
        digest = self._digest()
        if digest == self._hash:
            return
        self._hash = digest
        try:
            rules = self._read()
        except LongInterestError as error:
            self.problem = f"{error} The rules of before stay in force."
            getLogger().error(printable(self.problem))
            return
        rules.set_available(self._available)
        self._rules, self.problem = rules, None
        self._marks, self._hash = self._look(), self._digest()  # it may name other files now
        getLogger().info(printable(f"Rules were read again from {self.path}."))

    def _read(self) -> ShopRules:
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RulesError(f"The rules {self.path} cannot be read: {error}.") from error
        settings = read_rules(text, self.path, self._strategies)
        return ShopRules(settings, self._scorer, self.path.parent, self.path)

    def _files(self) -> list[Path]:
        return [self.path, *self._rules.files]

    def _look(self) -> Marks:
        """Time and size of every file; None for one that cannot be read."""
        return {path: _mark(path) for path in self._files()}

    def _digest(self) -> str:
        """Hash of the content of all files."""
        digest = sha256()
        for path in self._files():
            try:
                content = path.read_bytes()
            except OSError:
                content = b"\0"
            digest.update(sha256(content).digest())
        return digest.hexdigest()


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
