"""The strategies of a model, each made when it is first asked for."""

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.strategies.base import Context, Strategy
from recbole_longinterest.serving.strategies.registry import strategy_names, strategy_of


class MadeStrategies:
    """Makes strategies, and remembers why some cannot be made.

    Args:
        context: what they may use.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[str, Strategy | LongInterestError] = {}

    def get(self, name: str) -> Strategy:
        """A strategy of this model.

        Raises:
            LongInterestError: for an unknown name, and for a strategy that the model or the caller lacks something for.
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
        """All strategies: "" for one that can be used, else why it cannot."""
        out = {}
        for name in strategy_names():
            try:
                self.get(name)
                out[name] = ""
            except LongInterestError as error:
                out[name] = str(error)
        return out
