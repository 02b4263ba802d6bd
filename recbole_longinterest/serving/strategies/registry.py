"""The strategies by name: the built-in ones, those that a program registers, and those of installed packages."""

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.registry import Registry
from recbole_longinterest.serving.rules.settings import BANDIT
from recbole_longinterest.serving.strategies.base import Strategy

STRATEGIES: Registry[type[Strategy]] = Registry("strategy", "register_strategy", "recbole_longinterest.strategies")
RESERVED = (BANDIT, "mix")


def register_strategy(name: str, strategy: type[Strategy]) -> None:
    """Make a strategy known under a name, for ``mix`` of the rules and for requests.

    Args:
        name: not yet that of another strategy.
        strategy: a subclass of :class:`~.base.Strategy`.

    Raises:
        LongInterestError: for a name that is taken or has a meaning, or something that is not a strategy.
    """
    if not (isinstance(strategy, type) and issubclass(strategy, Strategy)):
        raise LongInterestError(f"The strategy {name} must be a subclass of Strategy; got {strategy!r}.")
    if name in RESERVED:
        raise LongInterestError(f"A strategy must not be called {' or '.join(RESERVED)}; got {name!r}.")
    STRATEGIES.add(name, strategy)


def strategy_names() -> list[str]:
    """Names of all strategies, the built-in ones first."""
    return list(STRATEGIES)


def strategy_of(name: str) -> type[Strategy]:
    """The strategy of a name.

    Raises:
        LongInterestError: for an unknown name; the message has the known ones.
    """
    return STRATEGIES.get(name)
