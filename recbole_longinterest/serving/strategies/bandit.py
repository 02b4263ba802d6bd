"""Learn from clicks which strategy is best for whom: Thompson sampling (Thompson 1933; Chapelle and Li 2011).

A strategy's rate of clicks in a segment of visitors has a Beta distribution. For each place of an answer a rate is
drawn for every strategy, and the strategy with the highest one fills the place: often the best, sometimes one of which
little is known.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.json_text import parse_json, read_json

FORMAT, VERSION = "recbole-longinterest bandit", 1
PRIOR = (1.0, 20.0)  # clicks and places without one, before anything is known


class Bandit:
    """Clicks of strategies by segment.

    Args:
        seed: of the draws; None for one from the system.
        memory: number of shown items of a segment and strategy that count: older ones fade; None for all.

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
        """The strategy for one place.

        Args:
            segment: of the visitor.
            strategies: to choose from, at least one.
        """
        with self._lock:
            known = self._counts.get(segment, {})
            rates = []
            for name in strategies:
                shown, clicked = known.get(name, (0.0, 0.0))
                rates.append(self._rng.beta(PRIOR[0] + clicked, PRIOR[1] + shown - clicked))
        return strategies[int(np.argmax(rates))]

    def feedback(self, segment: str, strategy: str, shown: int = 0, clicked: int = 0) -> None:
        """Learn what became of shown items; those shown may be told before their clicks.

        Args:
            segment: of the visitor when they were shown.
            strategy: that brought them.
            shown: number of items.
            clicked: number of them that were clicked.

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
            counts[0] = max(counts)  # a click says that the item was shown

    def follow(self, other: "Bandit") -> None:
        """Take over the counts of another one, which has learned more."""
        with other._lock:
            counts = {segment: {name: list(pair) for name, pair in by.items()} for segment, by in other._counts.items()}
        with self._lock:
            self._counts = counts

    def rates(self, segment: str) -> dict[str, tuple[float, float]]:
        """Mean rate of clicks of each strategy in a segment, and the number of shown items that it rests on."""
        with self._lock:
            found = {name: (shown, clicked) for name, (shown, clicked) in self._counts.get(segment, {}).items()}
        return {name: ((PRIOR[0] + clicked) / (sum(PRIOR) + shown), shown) for name, (shown, clicked) in found.items()}

    def to_json(self) -> str:
        """All counts; the draws' state is not kept."""
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
        """Read what :meth:`save` wrote.

        Raises:
            LongInterestError: for a file that is missing or of something else.
        """
        path = Path(path)
        if not path.is_file():
            raise LongInterestError(f"There is no file of a bandit {path}.")
        return cls._of(read_json(path), str(path), seed)

    @classmethod
    def from_json(cls, text: str, where: str, seed: int | None = None) -> "Bandit":
        """Read what :meth:`to_json` gave.

        Args:
            text: it.
            where: it was kept, for messages.
            seed: of the draws.

        Raises:
            LongInterestError: for anything else.
        """
        return cls._of(parse_json(text), where, seed)

    @classmethod
    def _of(cls, content: Any, where: str, seed: int | None) -> "Bandit":  # noqa: ANN401 - any JSON
        try:
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(f"format {content['format']!r}, version {content['version']!r}")
            out = cls(seed, content["memory"])
            out._counts = _counts(content["counts"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LongInterestError(f"{where} is no file of a bandit, or was changed: {error}.") from error
        return out


def _counts(given: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, list[float]]]:
    out: dict[str, dict[str, list[float]]] = {}
    for segment, strategies in given.items():
        for name, (shown, clicked) in strategies.items():
            if not 0 <= float(clicked) <= float(shown) < float("inf"):
                raise ValueError(f"{segment}, {name}: {clicked} clicks of {shown}")
            out.setdefault(segment, {})[name] = [float(shown), float(clicked)]
    return out
