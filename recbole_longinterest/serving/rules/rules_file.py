"""Rules that are read again when their file changes, while requests go on."""

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

PAUSE = 1.0  # seconds between two looks at the files
END = "..."  # yaml's mark of the end of a document
Marks = dict[Path, tuple[int, int] | None]


class RulesFile:
    """The rules of a file, as they stand.

    A change of the file, or of a file that it names, is seen by time and size, and counts if the content's hash
    changed. Rules that cannot be read leave the ones before in force, and say so in :attr:`problem` and the log.

    A file that is replaced in one step is read whole. One that is written in place is read when it has stayed the same
    for ``pause`` seconds and does not change while it is read; an empty file is not taken. A writer who stops longer in
    the middle may leave sound rules there. A last line ``...`` in the rules in force guards against that: a file
    without it is then half a file.

    Args:
        path: of the yaml.
        scorer: the model.
        strategies: names that ``mix`` may use.
        pause: seconds between two looks at the files, and for which a changed one has to stay the same; 0 takes it at
            once.

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
        self._watched: tuple[Path, ...] = (self.path,)
        self._marks: Marks = {}
        self._hashes: dict[Path, bytes] = {}
        self._changed: Marks | None = None  # a change that has to stay the same until it is taken
        # Marks before hashes before contents: what changes in between is seen at the next look.
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
        for _ in range(2):  # again if the rules name further files, which are looked at before they are read
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
                return  # somebody writes: what was read may be half of the one and half of the other
            rules.set_available(self._available)
            self._text, self._rules, self.problem = text, rules, None
            self._watch(named, marks, hashes)
            getLogger().info(printable(f"Rules were read again from {self.path}."))
            return

    def _refuse(self, error: LongInterestError, marks: Marks, hashes: dict[Path, bytes]) -> None:
        """Keep the rules in force, and say why, unless the files change just now."""
        if self._look(self._watched) != marks:
            return
        self._marks, self._hashes = marks, hashes
        self.problem = f"{error} The rules of before stay in force."
        getLogger().error(printable(self.problem))

    def _check_whole(self, text: str) -> None:
        """Refuse what may be the beginning of a file.

        Raises:
            RulesError: for a file that is empty, or lacks the last line that the rules in force have.
        """
        lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
        if not lines:
            raise RulesError(f"The rules {self.path} are empty. Write {{}} for no rules.")
        if self._text.rstrip().endswith(f"\n{END}") and lines[-1] != END:
            raise RulesError(
                f"The rules {self.path} do not end with the line {END}, as those in force do: they may be half a file."
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
        """Watch the files of the rules in force, which were read while the files had these marks and hashes."""
        self._watched, self._changed = (self.path, *dict.fromkeys(named)), None
        self._marks = {path: marks[path] for path in self._watched}
        self._hashes = {path: hashes[path] for path in self._watched}

    def _look(self, files: Iterable[Path]) -> Marks:
        """Time and size of files; None for one that cannot be read."""
        return {path: _mark(path) for path in files}

    def _hash(self, files: Iterable[Path]) -> dict[Path, bytes]:
        """Hash of the content of files."""
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
