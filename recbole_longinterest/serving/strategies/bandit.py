"""Learn from clicks which strategy works best for which visitors, by Thompson sampling.

Thompson 1933; Chapelle and Li 2011, "An empirical evaluation of Thompson sampling".

The click rate of a strategy in a segment of visitors has a Beta posterior. For each place of an answer, a rate is
sampled for every strategy, and the strategy with the highest rate fills the place: usually the best one, sometimes one
with little data.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.json_text import JsonError, parse_json, read_json

FORMAT, VERSION = "recbole-longinterest bandit", 1
PRIOR = (1.0, 20.0)  # prior numbers of clicked and not clicked items


class Bandit:
    """Click counts of strategies by segment.

    Args:
        seed: random seed; None for a random one.
        memory: effective number of shown items per segment and strategy; older counts decay. None for no decay.

    Example:
        >>> bandit = Bandit(seed=1)
        >>> bandit.feedback("few", "interest", shown=10, clicked=2)
        >>> bandit.choose("few", ["interest", "popular"])
    """

    def __init__(self, seed: int | None = None, memory: float | None = None) -> None:
        if memory is not None and not 0 < memory < float("inf"):
            raise LongInterestError(f"memory must be above 0, or None; got {memory}.")
        self.memory = memory
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, list[float]]] = {}  # shown, clicked

    def choose(self, segment: str, strategies: Sequence[str]) -> str:
        """Choose the strategy for one place.

        Args:
            segment: segment of the visitor.
            strategies: the options, at least one.
        """
        with self._lock:
            known = self._counts.get(segment, {})
            rates = []
            for name in strategies:
                shown, clicked = known.get(name, (0.0, 0.0))
                rates.append(self._rng.beta(PRIOR[0] + clicked, PRIOR[1] + shown - clicked))
        return strategies[int(np.argmax(rates))]

    def feedback(self, segment: str, strategy: str, shown: int = 0, clicked: int = 0) -> None:
        """Learn from shown and clicked items; clicks may be reported later than the shown items.

        Args:
            segment: segment of the visitor when the items were shown.
            strategy: strategy that chose the items.
            shown: number of shown items.
            clicked: number of clicked items.

        Raises:
            LongInterestError: for numbers below 0.
        """
        if min(shown, clicked) < 0:
            raise LongInterestError(f"shown and clicked must be at least 0; got {shown} and {clicked}.")
        with self._lock:
            counts = self._counts.setdefault(segment, {}).setdefault(strategy, [0.0, 0.0])
            if self.memory is not None:
                counts[:] = [value * (1 - min(1.0, shown / self.memory)) for value in counts]
            counts[0] += shown
            counts[1] = counts[1] + clicked
            counts[0] = max(counts)  # a clicked item was also shown

    def follow(self, other: "Bandit") -> None:
        """Replace the counts by those of another bandit, which has learned more."""
        with other._lock:
            counts = {segment: {name: list(pair) for name, pair in by.items()} for segment, by in other._counts.items()}
        with self._lock:
            self._counts = counts

    def rates(self, segment: str) -> dict[str, tuple[float, float]]:
        """Return the posterior mean click rate of each strategy in a segment, and its number of shown items."""
        with self._lock:
            found = {name: (shown, clicked) for name, (shown, clicked) in self._counts.get(segment, {}).items()}
        return {name: ((PRIOR[0] + clicked) / (sum(PRIOR) + shown), shown) for name, (shown, clicked) in found.items()}

    def to_json(self) -> str:
        """Serialise the counts, without the state of the random generator."""
        with self._lock:
            content = {"format": FORMAT, "version": VERSION, "memory": self.memory, "counts": self._counts}
            return json.dumps(content, indent=1, sort_keys=True) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the counts atomically.

        Raises:
            OSError: if the file cannot be written.
        """
        write_text(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | Path, seed: int | None = None) -> "Bandit":
        """Read a file written by :meth:`save`.

        Raises:
            LongInterestError: for a file that is missing or invalid.
        """
        path = Path(path)
        if not path.is_file():
            raise LongInterestError(f"The bandit's file {path} does not exist.")
        return cls._of(read_json(path), str(path), seed)

    @classmethod
    def from_json(cls, text: str, where: str, seed: int | None = None) -> "Bandit":
        """Restore from :meth:`to_json`.

        Args:
            text: the JSON text.
            where: its location, for messages.
            seed: random seed.

        Raises:
            LongInterestError: for invalid text.
        """
        try:
            content = parse_json(text)
        except JsonError as error:
            raise LongInterestError(f"{where} does not hold a bandit's counts: it is not JSON ({error}).") from error
        return cls._of(content, where, seed)

    @classmethod
    def _of(cls, content: Any, where: str, seed: int | None) -> "Bandit":  # noqa: ANN401 - any JSON
        try:
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(f"format {content['format']!r}, version {content['version']!r}")
            out = cls(seed, content["memory"])
            out._counts = _counts(content["counts"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LongInterestError(f"{where} does not hold a bandit's counts, or was changed: {error}.") from error
        return out


def _counts(given: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, list[float]]]:
    out: dict[str, dict[str, list[float]]] = {}
    for segment, strategies in given.items():
        for name, (shown, clicked) in strategies.items():
            if not 0 <= float(clicked) <= float(shown) < float("inf"):
                raise ValueError(f"{segment}, {name}: {clicked} clicks of {shown}")
            out.setdefault(segment, {})[name] = [float(shown), float(clicked)]
    return out
