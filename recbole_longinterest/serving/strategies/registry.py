"""Registry of strategies: built-in ones, those registered by code, and those of installed packages."""

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.registry import Registry
from recbole_longinterest.serving.rules.settings import BANDIT
from recbole_longinterest.serving.strategies.base import Strategy

STRATEGIES: Registry[type[Strategy]] = Registry("strategy", "register_strategy", "recbole_longinterest.strategies")
RESERVED = (BANDIT, "mix")


def register_strategy(name: str, strategy: type[Strategy]) -> None:
    """Register a strategy under a name, for ``mix`` of the rules and for requests.

    Args:
        name: an unused name.
        strategy: a subclass of :class:`~.base.Strategy`.

    Raises:
        LongInterestError: for a name that is taken or reserved, or an object that is not a strategy class.
    """
    if not (isinstance(strategy, type) and issubclass(strategy, Strategy)):
        raise LongInterestError(f"The strategy {name} must be a subclass of Strategy; got {strategy!r}.")
    if name in RESERVED:
        raise LongInterestError(f"A strategy must not be called {' or '.join(RESERVED)}; got {name!r}.")
    STRATEGIES.add(name, strategy)


def strategy_names() -> list[str]:
    """Return the names of all strategies, built-in ones first."""
    return list(STRATEGIES)


def strategy_of(name: str) -> type[Strategy]:
    """Return the strategy of a name.

    Raises:
        LongInterestError: for an unknown name; the message lists the known ones.
    """
    return STRATEGIES.get(name)
