"""Rules that are reloaded when their file changes, without interrupting requests."""

import copy
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from logging import getLogger
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable
from recbole_longinterest.serving.rules.settings import RulesError, RuleSettings, read_rules
from recbole_longinterest.serving.rules.shop_rules import ShopRules
from recbole_longinterest.serving.scorer import Scorer

PAUSE = 1.0  # seconds between checks of the files
END = "..."  # yaml's end-of-document marker
Marks = dict[Path, tuple[int, int] | None]


class RulesFile:
    """The current rules of a file.

    A change of the file, or of a file named in it, is detected by time and size, and then by the hash of its content.
    If the new rules are invalid, the previous ones stay active, and :attr:`problem` and the log say so.

    Replace the file atomically if possible. A file that is written in place is read when it has not changed for
    ``pause`` seconds and does not change during reading; an empty file is ignored. A partly written file may still be
    valid yaml. To guard against that, end the rules with a line ``...``: if the active rules have it, a file without it
    counts as incomplete.

    Args:
        path: path of the yaml file.
        scorer: the model.
        strategies: names that ``mix`` may use.
        pause: seconds between checks of the files, and for which a changed file must stay unchanged; 0 to read changes
            at once.

    Raises:
        RulesError: if the rules cannot be used at the start.

    Attributes:
        problem: why the current file is not active; None if it is.
    """

    def __init__(self, path: str | Path, scorer: Scorer, strategies: Collection[str], pause: float = PAUSE) -> None:
        self.path, self.problem = Path(path), None
        self._scorer, self._strategies, self._pause = scorer, tuple(strategies), pause
        self._lock = threading.Lock()
        self._available: dict[str, bool] = {}
        self._watched: tuple[Path, ...] = (self.path,)
        self._marks: Marks = {}
        self._hashes: dict[Path, bytes] = {}
        self._changed: Marks | None = None  # a change that must stay unchanged before it is read
        # Times, then hashes, then content: a change in between is detected at the next check.
        marks, hashes = self._look(self._watched), self._hash(self._watched)
        self._text = self._read_text()
        settings = self._settings(self._text)
        named = self._named(settings)
        marks, hashes = marks | self._look(named), hashes | self._hash(named)
        self._rules = self._made_of(settings)
        self._watch(named, marks, hashes)
        self._looked = time.monotonic()

    problem: str | None

    def current(self) -> ShopRules:
        """Return the active rules, after checking the files if the last check was long ago."""
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
        """Return the active rules for another model, such as one with added items; the files stay watched.

        Raises:
            RulesError: if a file named in the rules can no longer be used.
        """
        with self._lock:
            out = copy.copy(self)
            out._scorer, out._lock, out._available = scorer, threading.Lock(), dict(self._available)
            out._rules = self._rules.again(scorer)
        return out

    def set_available(self, availability: Mapping[str, bool]) -> None:
        """Set which items are in stock, also for rules that are read later. See :class:`ShopRules`."""
        with self._lock:
            self._available |= availability
            self._rules.set_available(availability)

    def _reload(self) -> None:
        for _ in range(2):  # twice if the rules name further files, whose times are needed before they are read
            marks = self._look(self._watched)
            if marks == self._marks:
                self._changed = None
                return
            if self._pause and marks != self._changed:
                self._changed = marks
                return
            hashes = self._hash(self._watched)
            if hashes == self._hashes and self.problem is None:
                self._marks = marks
                return
            try:
                text = self._read_text()
                self._check_whole(text)
                settings = self._settings(text)
                named = self._named(settings)
                if not set(named) <= set(self._watched):
                    self._watched, self._changed = (self.path, *dict.fromkeys([*self._watched[1:], *named])), None
                    continue
                rules = self._made_of(settings)
            except LongInterestError as error:
                self._refuse(error, marks, hashes)
                return
            if self._look(self._watched) != marks or self._hash(self._watched) != hashes:
                return  # being written: the content may mix old and new
            rules.set_available(self._available)
            self._text, self._rules, self.problem = text, rules, None
            self._watch(named, marks, hashes)
            getLogger().info(printable(f"Rules were read again from {self.path}."))
            return

    def _refuse(self, error: LongInterestError, marks: Marks, hashes: dict[Path, bytes]) -> None:
        """Keep the active rules and record why, unless the files are changing right now."""
        if self._look(self._watched) != marks:
            return
        self._marks, self._hashes = marks, hashes
        self.problem = f"{error} The previous rules stay active."
        getLogger().error(printable(self.problem))

    def _check_whole(self, text: str) -> None:
        """Check that a file is complete.

        Raises:
            RulesError: for a file that is empty, or lacks the end marker that the active rules have.
        """
        lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
        if not lines:
            raise RulesError(f"The rules {self.path} are empty. Write {{}} for no rules.")
        if self._text.rstrip().endswith(f"\n{END}") and lines[-1] != END:
            raise RulesError(
                f"The rules {self.path} do not end with the line {END}, as the active ones do: the file may be "
                "incomplete."
            )

    def _read_text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RulesError(f"The rules {self.path} cannot be read: {error}.") from error

    def _settings(self, text: str) -> RuleSettings:
        return read_rules(text, self.path, self._strategies)

    def _named(self, settings: RuleSettings) -> list[Path]:
        return [self.path.parent / name for name in settings.files]

    def _made_of(self, settings: RuleSettings) -> ShopRules:
        return ShopRules(settings, self._scorer, self.path.parent, self.path)

    def _watch(self, named: Sequence[Path], marks: Marks, hashes: dict[Path, bytes]) -> None:
        """Watch the files of the active rules, which were read with these times and hashes."""
        self._watched, self._changed = (self.path, *dict.fromkeys(named)), None
        self._marks = {path: marks[path] for path in self._watched}
        self._hashes = {path: hashes[path] for path in self._watched}

    def _look(self, files: Iterable[Path]) -> Marks:
        """Return time and size of each file; None for a file that cannot be read."""
        return {path: _mark(path) for path in files}

    def _hash(self, files: Iterable[Path]) -> dict[Path, bytes]:
        """Return the hash of each file's content."""
        return {path: _hash(path) for path in files}


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _hash(path: Path) -> bytes:
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        return b""
