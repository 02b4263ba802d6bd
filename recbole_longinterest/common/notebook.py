"""Notebook support: detect a notebook kernel, and show one progress bar for all loops of a cell."""

import re
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from html import escape
from typing import Any

EVERY = 0.5  # seconds between redraws
COLOUR = re.compile("\x1b\\[[0-9;]*m")
_shown: dict[str, Any] = {}  # bar of the running cell: its display and the cell number


def in_notebook() -> bool:
    """Whether this process is a notebook kernel, not a terminal or a script."""
    return getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:  # noqa: ANN401 - IPython has no types
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    return None if ipython is None else ipython.get_ipython()


class CellBar:
    """A replacement for ``tqdm`` that draws all loops of a notebook cell in a single bar.

    A training has hundreds of loops; a text bar for each would flood the output.

    Args:
        iterable: the items to loop over.
        total: number of items; ``len(iterable)`` if None.
        desc: label of the bar.
        unused: other options of ``tqdm``, ignored.
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        total: int | None = None,
        desc: str = "",
        **unused: Any,
    ) -> None:
        self._iterable = iterable
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total
        self.desc, self.postfix = COLOUR.sub("", desc), ""

    def __len__(self) -> int:
        return self.total or 0

    def __iter__(self) -> Iterator[Any]:
        drawn = 0.0
        done = 0
        for done, each in enumerate(self._iterable, start=1):
            yield each
            if time.monotonic() - drawn > EVERY:
                drawn = time.monotonic()
                self._draw(done)
        self._draw(done)

    def set_postfix_str(self, text: str = "", refresh: bool = True) -> None:
        """Set the text after the bar, like ``tqdm``."""
        self.postfix = COLOUR.sub("", text)

    def set_description(self, text: str = "", refresh: bool = True) -> None:
        """Set the label of the bar, like ``tqdm``."""
        self.desc = COLOUR.sub("", text)

    def _draw(self, done: int) -> None:
        total = max(self.total or done, 1)
        text = escape(" ".join(f"{self.desc} {done:,} of {total:,} {self.postfix}".split()))
        show({"text/html": f'<progress value="{done}" max="{total}"></progress> {text}', "text/plain": text})


def show(content: dict[str, str]) -> None:
    """Draw or redraw the cell's bar."""
    from IPython.display import display  # the notebook's own

    cell = getattr(_shell(), "execution_count", None)
    if _shown.get("cell") != cell or _shown.get("display") is None:
        _shown.update(cell=cell, display=display(content, raw=True, display_id=True))
    else:
        _shown["display"].update(content, raw=True)
