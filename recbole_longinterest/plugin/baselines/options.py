"""Read a baseline's options from RecBole's config, with one error for all wrong values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.options import parse_switch


@dataclass(frozen=True)
class Rule:
    """The allowed values of an option.

    Attributes:
        text: description for the error message.
        holds: whether a value is allowed.
        read: converts the config's value.
    """

    text: str
    holds: Callable[[Any], bool]
    read: Callable[[Any], Any] = lambda value: value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def whole(low: int) -> Rule:
    """A whole number of at least ``low``."""
    return Rule(
        f"a whole number of at least {low}", lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= low
    )


def one_of(*names: str) -> Rule:
    """One of the given names, ignoring case."""
    by_lower = {name.lower(): name for name in names}
    return Rule(f"one of {', '.join(names)}", lambda v: v in names, lambda v: by_lower.get(str(v).lower(), v))


PROBABILITY = Rule("a number of at least 0 and below 1", lambda v: _is_number(v) and 0 <= v < 1)
SHARE = Rule("a number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1)
POSITIVE = Rule("a number above 0", lambda v: _is_number(v) and v > 0)
SWITCH = Rule("on or off", lambda v: isinstance(v, bool), lambda v: v if parse_switch(v) is None else parse_switch(v))


def read_options(config: Settings, rules: Mapping[str, Rule], model: str) -> dict[str, Any]:
    """Read and check the options of a baseline.

    Args:
        config: RecBole's config.
        rules: allowed values of each option.
        model: name of the model, for the error message.

    Raises:
        LongInterestError: if an option has an invalid value, or ``n_heads`` does not divide ``hidden_size``; the
            message lists all of them.
    """
    options = {name: rule.read(config[name]) for name, rule in rules.items()}
    wrong = [
        f"{name} must be {rule.text}; got {config[name]!r}."
        for name, rule in rules.items()
        if not rule.holds(options[name])
    ]
    if not wrong and "n_heads" in options and options["hidden_size"] % options["n_heads"]:
        wrong.append(f"n_heads must divide hidden_size ({options['hidden_size']}); got {options['n_heads']}.")
    if wrong:
        raise LongInterestError(f"{model}: {' '.join(wrong)} properties/{model}.yaml says what each means.")
    return options
