"""The strategies of a model, created when first used."""

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.strategies.base import Context, Strategy
from recbole_longinterest.serving.strategies.registry import strategy_names, strategy_of


class MadeStrategies:
    """Creates strategies lazily, and remembers why some cannot be used.

    Args:
        context: resources for the strategies.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[str, Strategy | LongInterestError] = {}

    def get(self, name: str) -> Strategy:
        """Return a strategy of this model.

        Raises:
            LongInterestError: for an unknown name, or a strategy that cannot be used.
        """
        if name not in self._made:
            try:
                self._made[name] = strategy_of(name).make(self._context)
            except LongInterestError as error:
                if name not in strategy_names():
                    raise
                self._made[name] = error
        found = self._made[name]
        if isinstance(found, LongInterestError):
            raise found
        return found

    def available(self) -> dict[str, str]:
        """Return for each strategy the reason why it cannot be used; "" for usable strategies."""
        out = {}
        for name in strategy_names():
            try:
                self.get(name)
                out[name] = ""
            except LongInterestError as error:
                out[name] = str(error)
        return out
