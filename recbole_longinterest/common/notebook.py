"""Notebook support: detect a notebook kernel, and show one progress bar for all loops of a cell."""

import logging
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sized
from html import escape
from types import TracebackType
from typing import Any, Protocol

EVERY = 0.5  # seconds between redraws
COLOUR = re.compile("\x1b\\[[0-9;]*m")
_shown: dict[str, Any] = {}  # bar of the running cell: its display and the cell number


def in_notebook() -> bool:
    """Whether this process is a notebook kernel, not a terminal or a script."""
    return getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:  # noqa: ANN401 - IPython has no types
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    return None if ipython is None else ipython.get_ipython()


def without_widget_notes() -> None:
    """In a notebook, hide the notes of tqdm and Ray that ipywidgets is missing: the bars here do not need it."""
    if in_notebook():
        warnings.filterwarnings("ignore", "IProgress not found")
        logging.getLogger("ray.widgets.util").setLevel(logging.ERROR)


class Bar(Protocol):
    """The methods of a progress bar that this package uses; ``tqdm`` and :class:`CellBar` have them."""

    n: int
    """Number of items done."""

    def __enter__(self) -> "Bar": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...

    def update(self, n: int = 1) -> object:
        """Count ``n`` more items."""

    def set_postfix_str(self, text: str = "", refresh: bool = True) -> None:
        """Set the text after the bar."""

    def close(self) -> None:
        """Draw the final state."""

    def write(self, text: str) -> None:
        """Print a line without disturbing the bar."""


class CellBar:
    """A replacement for ``tqdm`` that draws all loops of a notebook cell in a single bar.

    A training has hundreds of loops; a text bar for each would flood the output.

    Args:
        iterable: the items to loop over; None if :meth:`update` counts.
        total: number of items; ``len(iterable)`` if None.
        desc: label of the bar.
        initial: number of items done before.
        unit: ``"B"`` for bytes, which are shown in larger units; other units are not shown.
        disable: draw nothing.
        unused: other options of ``tqdm``, ignored.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        total: int | None = None,
        desc: str = "",
        initial: int = 0,
        unit: str = "",
        disable: bool = False,
        **unused: Any,
    ) -> None:
        self._iterable: Iterable[Any] = () if iterable is None else iterable
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total
        self.desc, self.postfix, self.n = COLOUR.sub("", desc), "", initial
        self._bytes, self._disabled, self._drawn = unit == "B", disable, 0.0

    def __len__(self) -> int:
        return self.total or 0

    def __iter__(self) -> Iterator[Any]:
        for each in self._iterable:
            yield each
            self.update()
        self.close()

    def __enter__(self) -> "CellBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(self, n: int = 1) -> None:
        """Count ``n`` more items, like ``tqdm``."""
        self.n += n
        self._draw_at_times()

    def close(self) -> None:
        """Draw the final state, like ``tqdm``."""
        self._draw()

    def set_postfix_str(self, text: str = "", refresh: bool = True) -> None:
        """Set the text after the bar, like ``tqdm``."""
        self.postfix = COLOUR.sub("", text)
        if refresh:
            self._draw_at_times()

    def set_description(self, text: str = "", refresh: bool = True) -> None:
        """Set the label of the bar, like ``tqdm``."""
        self.desc = COLOUR.sub("", text)

    def write(self, text: str) -> None:
        """Print a line without disturbing the bar, like ``tqdm``."""
        sys.stdout.write(f"{COLOUR.sub('', text)}\n")

    def _draw_at_times(self) -> None:
        if time.monotonic() - self._drawn > EVERY:
            self._drawn = time.monotonic()
            self._draw()

    def _draw(self) -> None:
        if self._disabled:
            return
        total = max(self.total or self.n, 1)
        text = escape(" ".join(f"{self.desc} {self._said(self.n)} of {self._said(total)} {self.postfix}".split()))
        show({"text/html": f'<progress value="{self.n}" max="{total}"></progress> {text}', "text/plain": text})

    def _said(self, number: int) -> str:
        from tqdm import tqdm  # saves start-up time: only in a notebook

        return f"{tqdm.format_sizeof(number)}B" if self._bytes else f"{number:,}"


def progress_bar(**options: Any) -> Bar:
    """A bar with the options of ``tqdm``: that of the cell if the process is a notebook; else ``tqdm`` itself."""
    if in_notebook():
        return CellBar(**options)
    from tqdm import tqdm  # saves start-up time: commands that show no bar do without

    bar: Bar = tqdm(**options)
    return bar


def show(content: dict[str, str]) -> None:
    """Draw or redraw the cell's bar."""
    from IPython.display import display  # the notebook's own

    cell = getattr(_shell(), "execution_count", None)
    if _shown.get("cell") != cell or _shown.get("display") is None:
        _shown.update(cell=cell, display=display(content, raw=True, display_id=True))
    else:
        _shown["display"].update(content, raw=True)
