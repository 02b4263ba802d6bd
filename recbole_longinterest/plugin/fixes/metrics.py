"""A patch of RecBole's metrics."""

from collections.abc import Callable
from typing import Any

from recbole_longinterest.plugin.fixes.registry import patch


@patch(
    "recbole.evaluator.evaluator:Evaluator.evaluate",
    kind="fix",
    why="Metrics are numpy numbers. A notebook shows them as np.float64(...), and JSON does not accept all of them.",
    wraps=True,
)
def plain_metrics(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """Convert the metrics to Python floats."""

    def evaluate_plainly(self: Any, dataobject: Any) -> Any:  # noqa: ANN401 - RecBole has no types
        result = evaluate(self, dataobject)
        return type(result)((name, float(value)) for name, value in result.items())

    return evaluate_plainly
