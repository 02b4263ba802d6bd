"""A patch of the progress bars in notebooks."""

from collections.abc import Callable
from typing import Any

from recbole_longinterest.common.notebook import CellBar, in_notebook
from recbole_longinterest.plugin.fixes.registry import patch

TRAINERS = "recbole.trainer.trainer"


@patch(
    f"{TRAINERS}:tqdm",
    kind="feature",
    why="A notebook shows two text bars per epoch, hundreds of lines of output.",
    source_of=f"{TRAINERS}:Trainer._train_epoch",
    wraps=True,
)
def one_bar_a_cell(tqdm: Callable[..., Any]) -> Callable[..., Any]:
    """Show progress in one bar per notebook cell; unchanged outside notebooks."""

    def bar(iterable: Any = None, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as tqdm
        return CellBar(iterable, **options) if in_notebook() else tqdm(iterable, *args, **options)

    return bar
