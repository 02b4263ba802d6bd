"""The search space of a search: a yaml file, or RecBole's ``hyper.test``. This module does not need ray.

A yaml file has a line per setting; settings are drawn in this order::

    learning_rate: {loguniform: [0.0005, 0.005]}
    MAX_ITEM_LIST_LENGTH: {choice: [50, 200]}
    dropout_prob: {quniform: [0.1, 0.6, 0.1]}
    attention_heads: {choice: [1, 2, 4], when: {attention: on}}
    loss_type: CE                                    # a single value is the same in all trials
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
import yaml

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.written_values import read_value
from recbole_longinterest.common.yaml import read_yaml

KINDS = {"choice": None, "uniform": 2, "loguniform": 2, "quniform": 3}  # kind -> number of limits
TRIES = 100  # draws to find a setting that was not drawn before


class Suggest(Protocol):
    """A source of values, with the interface of Optuna's trials."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """Choose one of the given values."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Choose a number between two limits, in steps or on a logarithmic scale."""


class RandomSuggest:
    """A source of random values."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """Draw one of the given values, all equally likely."""
        return choices[int(self._rng.integers(len(choices)))]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Draw a number between two limits; with a step, a multiple of it above the lower limit."""
        if step is not None:
            return low + step * int(self._rng.integers(math.floor((high - low) / step + 1e-9) + 1))
        if log:
            return float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
        return float(self._rng.uniform(low, high))


@dataclass(frozen=True)
class Parameter:
    """One setting of a space.

    Attributes:
        name: name of the setting.
        kind: choice, uniform, loguniform or quniform.
        values: the values of a choice; otherwise low, high, and the step of quniform.
        when: condition: this setting is drawn only if other settings have these values.
    """

    name: str
    kind: str
    values: tuple[Any, ...]
    when: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind == "choice":
            if not self.values:
                raise LongInterestError(f"{self.name}: choice needs a list of at least one value.")
            return
        if len(self.values) != KINDS[self.kind] or not all(_is_number(value) for value in self.values):
            want = "low, high and step" if self.kind == "quniform" else "low and high"
            raise LongInterestError(f"{self.name}: {self.kind} needs {want}; got {list(self.values)}.")
        low, high = self.values[:2]
        if not low < high:
            raise LongInterestError(f"{self.name}: {self.kind} needs low < high; got {low} and {high}.")
        if self.kind == "loguniform" and low <= 0:
            raise LongInterestError(f"{self.name}: loguniform needs low > 0; got {low}.")
        if self.kind == "quniform" and self.values[2] <= 0:
            raise LongInterestError(f"{self.name}: quniform needs a step > 0; got {self.values[2]}.")

    @property
    def constant(self) -> bool:
        """Whether the setting is the same in all trials."""
        return self.kind == "choice" and len(self.values) == 1 and not self.when

    def draw(self, source: Suggest) -> object:
        """Draw one value."""
        if self.kind == "choice":
            texts = [json.dumps(value) for value in self.values]
            return self.values[texts.index(source.suggest_categorical(self.name, texts))]
        low, high = self.values[:2]
        if self.kind == "quniform":
            return _whole(source.suggest_float(self.name, low, high, step=self.values[2]), self.values)
        return source.suggest_float(self.name, low, high, log=self.kind == "loguniform")

    def __contains__(self, value: object) -> bool:
        """Whether this value may be drawn; for quniform, any value between the limits counts."""
        if self.kind == "choice":
            return value in self.values
        return _is_number(value) and self.values[0] <= value <= self.values[1]

    def suggested(self, value: object) -> object:
        """Convert a value to its form in a source: a choice becomes JSON, as Optuna stores only numbers and strings."""
        return json.dumps(value) if self.kind == "choice" else value

    def all_values(self) -> list[Any]:
        """Every value, for a grid.

        Raises:
            ValueError: if there are infinitely many values.
        """
        if self.kind == "choice":
            return list(self.values)
        if self.kind != "quniform":
            raise LongInterestError(
                f"{self.name}: a grid has no {self.kind}; give choice or quniform, or --search random."
            )
        low, high, step = self.values
        return [_whole(low + step * k, self.values) for k in range(math.floor((high - low) / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Space:
    """Settings to choose from, in the order in which they are drawn."""

    parameters: tuple[Parameter, ...]

    def draw(self, source: Suggest, fixed: dict[str, Any]) -> dict[str, Any]:
        """Draw values for all parameters whose conditions hold.

        Args:
            source: source of the values.
            fixed: settings of every trial, which conditions may refer to.
        """
        drawn: dict[str, Any] = {}
        for parameter in self.parameters:
            if _holds(parameter.when, {**fixed, **drawn}):
                drawn[parameter.name] = parameter.draw(source)
        return drawn

    def own(self, config: Mapping[str, Any], fixed: dict[str, Any]) -> dict[str, Any] | None:
        """The model's default setting; None if the space does not contain it.

        Args:
            config: the model's default settings.
            fixed: settings of every trial, which conditions may refer to.
        """
        own: dict[str, Any] = {}
        for parameter in self.parameters:
            if not _holds(parameter.when, {**fixed, **own}):
                continue
            constant = parameter.kind == "choice" and len(parameter.values) == 1
            value = parameter.values[0] if constant else config[parameter.name]
            if value not in parameter:
                return None
            own[parameter.name] = value
        return own

    def suggested(self, setting: dict[str, Any]) -> dict[str, Any]:
        """Convert a drawn setting to its form in a source, see :meth:`Parameter.suggested`."""
        return {p.name: p.suggested(setting[p.name]) for p in self.parameters if p.name in setting}

    def random(
        self, trials: int, seed: int, fixed: dict[str, Any], first: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Draw distinct settings at random; fewer than ``trials`` if the space has no more.

        Args:
            trials: number of settings.
            seed: seed of the draws.
            fixed: settings of every trial, which conditions may refer to.
            first: a setting to put first; it counts as one of the trials.
        """
        source = RandomSuggest(seed)
        found = {} if first is None else {json.dumps(first): first}
        for _ in range(trials - len(found)):
            for _ in range(TRIES):
                setting = self.draw(source, fixed)
                if found.setdefault(json.dumps(setting), setting) is setting:
                    break
        return list(found.values())

    def grid(self, fixed: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """All distinct settings."""
        seen = set()
        for values in itertools.product(*(parameter.all_values() for parameter in self.parameters)):
            setting: dict[str, Any] = {}
            for parameter, value in zip(self.parameters, values, strict=True):
                if _holds(parameter.when, {**fixed, **setting}):
                    setting[parameter.name] = value
            text = json.dumps(setting)
            if text not in seen:
                seen.add(text)
                yield setting


def read_space(path: Path) -> Space:
    """Read a search space.

    Args:
        path: a yaml file, or a file in the format of RecBole's ``hyper.test``: a name, a kind and values per line, with
            the limits of ``loguniform`` as logarithms.

    Raises:
        ValueError: if the file is missing or not a search space.
    """
    if not path.is_file():
        raise LongInterestError(f"There is no file {path} with the search space.")
    try:
        text = path.read_text(encoding="utf-8")
        read = _from_yaml if path.suffix in (".yaml", ".yml") else _from_lines
        parameters = read(text)
        _check_order(parameters)
    except (ValueError, SyntaxError, yaml.YAMLError) as error:  # UnicodeDecodeError is a ValueError
        raise LongInterestError(f"{path} is not a search space: {' '.join(str(error).split())}") from error
    return Space(tuple(parameters))


def _from_yaml(text: str) -> list[Parameter]:
    content = read_yaml(text)
    if not isinstance(content, dict) or not content:
        raise LongInterestError("it must have lines such as `learning_rate: {loguniform: [0.0005, 0.005]}`.")
    return [_from_entry(str(name), entry) for name, entry in content.items()]


def _from_entry(name: str, entry: object) -> Parameter:
    if not isinstance(entry, (dict, list)):
        return Parameter(name, "choice", (entry,))
    rest = dict(entry) if isinstance(entry, dict) else {}
    when = rest.pop("when", {})
    if len(rest) != 1 or not isinstance(when, dict):
        raise LongInterestError(
            f"{name} must be one of {', '.join(KINDS)} with a list, and `when: {{key: value}}` if wanted."
        )
    kind, values = next(iter(rest.items()))
    if kind not in KINDS or not isinstance(values, list):
        raise LongInterestError(f"{name} must be one of {', '.join(KINDS)} with a list; got {kind}: {values!r}.")
    return Parameter(name, kind, tuple(values), when)


def _from_lines(text: str) -> list[Parameter]:
    parameters = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split(maxsplit=2)
        if not words:
            continue
        if len(words) != 3 or words[1] not in KINDS:
            raise LongInterestError(
                f"line {number} must be a name, one of {', '.join(KINDS)}, and values; got {line!r}."
            )
        name, kind, written = words
        values = read_value(written if kind == "choice" else f"[{written}]")
        if not isinstance(values, (list, tuple)):
            raise LongInterestError(f"line {number}: {name} must be a choice of a list, ['a', 'b']; got {written}.")
        if kind == "loguniform" and all(_is_number(value) for value in values):
            values = [math.exp(value) for value in values]
        parameters.append(Parameter(name, kind, tuple(values)))
    if not parameters:
        raise LongInterestError("it is empty.")
    return parameters


def _check_order(parameters: Sequence[Parameter]) -> None:
    later = {parameter.name for parameter in parameters}
    if len(later) < len(parameters):
        raise LongInterestError("it has a setting twice.")
    for parameter in parameters:
        wrong = sorted(later & set(parameter.when))
        if wrong:
            raise LongInterestError(f"{parameter.name} depends on {wrong[0]}, which must be above it.")
        later.discard(parameter.name)


def _holds(when: dict[str, Any], setting: dict[str, Any]) -> bool:
    return all(setting.get(name) in (value if isinstance(value, list) else [value]) for name, value in when.items())


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: float, limits: Sequence[float]) -> float:
    """Round to an int if all limits are ints, otherwise remove the rounding errors of adding steps."""
    return round(value) if all(isinstance(limit, int) for limit in limits) else round(value, 12)
