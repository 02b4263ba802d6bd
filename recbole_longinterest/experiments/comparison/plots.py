"""The plots of a comparison: means with intervals, differences to the best baseline, slices. Each is light and dark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.blocks import Block
from recbole_longinterest.experiments.comparison.groups import Group
from recbole_longinterest.experiments.comparison.variants import OWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODELS = 6  # in a plot of slices
TITLES = {"history": "events before the target", "target": "target in training", "repeat": "target and history"}


@dataclass(frozen=True)
class Theme:
    """Colours of a plot.

    Attributes:
        ink: text and axes.
        paper: background.
        grid: lines behind the data.
        protocols: colour of each protocol.
        models: colours of the models, LongInterest's first.
    """

    ink: str
    paper: str
    grid: str
    protocols: dict[str, str]
    models: tuple[str, ...]


LIGHT = Theme(
    "#1b1b1b",
    "#ffffff",
    "#e5e5e5",
    {"native": "#2a6f97", "seen-masked": "#c1121f"},
    ("#c1121f", "#2a6f97", "#5a9367", "#8d6a9f", "#c98b2b", "#6c757d"),
)
DARK = Theme(
    "#e6e6e6",
    "#15181c",
    "#343a40",
    {"native": "#6cb2dc", "seen-masked": "#ff6b6b"},
    ("#ff6b6b", "#6cb2dc", "#84c795", "#bd9bd1", "#e5b25d", "#adb5bd"),
)


def dark_twin(path: Path) -> Path:
    """The file of a plot's dark form, beside the light one."""
    return path.with_stem(f"{path.stem}-dark")


def plot_means(blocks: Sequence[Block], metric: str, path: Path) -> None:
    """Plot the mean and 95 % interval of each model in both protocols.

    Args:
        blocks: one data set in both protocols.
        metric: name of the metric.
        path: PNG to write; :func:`dark_twin` is written too.
    """
    order = sorted(range(len(blocks[0].names)), key=lambda place: blocks[0].means[place])

    def draw(theme: Theme) -> "Figure":
        figure, axes = _figure(theme, 8, 1.2 + 0.42 * len(order))
        for shift, block in zip((-0.13, 0.13), blocks, strict=False):
            means = [block.means[place] for place in order]
            low = [max(0.0, block.means[place] - block.intervals[place][0]) for place in order]
            high = [max(0.0, block.intervals[place][1] - block.means[place]) for place in order]
            heights = [row - shift for row in range(len(order))]
            colour = theme.protocols[block.protocol]
            axes.errorbar(
                means, heights, xerr=(low, high), fmt="o", ms=5, capsize=3, color=colour, label=block.protocol
            )
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.set_yticks(range(len(order)), [blocks[0].names[place] for place in order])
        axes.set_xlabel(f"test {metric}, mean and 95 % interval over users and seeds")
        axes.set_title(blocks[0].dataset)
        axes.set_xlim(left=0)
        axes.grid(axis="x", color=theme.grid)
        _legend(figure, axes, theme, 2)
        return figure

    _save(draw, path)


def plot_differences(blocks: Sequence[Block], path: Path) -> None:
    """Draw a forest plot: every row against the best baseline, in percent.

    Args:
        blocks: one data set in both protocols, with differences.
        path: PNG to write; :func:`dark_twin` is written too.
    """
    names = [difference.name for difference in blocks[0].differences]
    for block in blocks[1:]:
        names += [difference.name for difference in block.differences if difference.name not in names]
    value = {difference.name: difference.relative for difference in blocks[0].differences}
    names.sort(key=lambda name: value.get(name, 0.0))

    def draw(theme: Theme) -> "Figure":
        figure, axes = _figure(theme, 8, 1.4 + 0.42 * len(names))
        for shift, block in zip((-0.13, 0.13), blocks, strict=False):
            colour = theme.protocols[block.protocol]
            for difference in block.differences:
                middle, low, high = (100 * part for part in (difference.relative, difference.low, difference.high))
                axes.errorbar(
                    middle, names.index(difference.name) - shift,
                    xerr=[[max(0.0, middle - low)], [max(0.0, high - middle)]],
                    fmt="o", ms=5, capsize=3, color=colour,
                    mfc=theme.paper if difference.verdict == "open" else None,
                )  # fmt: skip
            against = block.baseline or "each data set's best baseline"
            axes.errorbar([], [], fmt="o", color=colour, label=f"{block.protocol}, against {against}")
        axes.axvline(0, color=theme.ink, lw=1)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("difference in percent, 95 % interval; hollow: open")
        axes.set_title(blocks[0].dataset)
        axes.grid(axis="x", color=theme.grid)
        _legend(figure, axes, theme, 1)
        return figure

    _save(draw, path)


def plot_slices(study: Study, groups: Sequence[Group], protocol: str, path: Path) -> None:
    """Plot bars with intervals for each group: the models with most seeds and best metrics. Small groups are pale.

    Args:
        study: the data set.
        groups: its groups in this protocol.
        protocol: native or seen-masked.
        path: PNG to write; :func:`dark_twin` is written too.
    """
    kinds: dict[str, list[Group]] = {}
    for group in groups:
        kinds.setdefault(group.kind, []).append(group)
    kinds = {kind: parts for kind, parts in kinds.items() if len(parts) > 1 and kind != "cold"}
    places = [place for place, row in enumerate(study.rows) if row.kind != "ablation"] or range(len(study.rows))
    means = [row.means(protocol, study.metric).mean() for row in study.rows]
    places = sorted(
        places, key=lambda place: (study.rows[place].name != OWN, -len(study.rows[place].runs), -means[place])
    )[:MODELS]

    def draw(theme: Theme) -> "Figure":
        figure, panels = _panels(theme, kinds)
        for kind, panel in panels.items():
            _bars(panel, kinds[kind], places, [study.rows[place].name for place in places], theme)
            panel.set_title(TITLES.get(kind, kind))
        if panels:
            first = next(iter(panels.values()))
            first.set_ylabel(f"test {study.metric}, {protocol}")
            _legend(figure, first, theme, len(places))
        return figure

    _save(draw, path)


def _bars(panel: Any, groups: Sequence[Group], places: Sequence[int], names: Sequence[str], theme: Theme) -> None:  # noqa: ANN401
    width = 0.84 / len(places)
    for number, place in enumerate(places):
        heights = np.nan_to_num([group.means[place] for group in groups])
        bounds = np.nan_to_num([group.intervals[place] for group in groups])
        at = np.arange(len(groups)) + (number - (len(places) - 1) / 2) * width
        spread = np.clip([heights - bounds[:, 0], bounds[:, 1] - heights], 0, None)
        bars = panel.bar(at, heights, width * 0.92, color=theme.models[number], label=names[number])
        panel.errorbar(at, heights, yerr=spread, fmt="none", ecolor=theme.ink, elinewidth=0.9, capsize=1.5)
        for bar, group in zip(bars, groups, strict=True):
            bar.set_alpha(0.35 if group.small else 1.0)
    labels = [f"{_short(group.name)}{'†' if group.small else ''}\n({group.rows})" for group in groups]
    panel.set_xticks(range(len(groups)), labels, fontsize=8)
    panel.set_ylim(bottom=0)
    panel.grid(axis="y", color=theme.grid)


def _short(name: str) -> str:
    return name.replace(" events", "").replace(" and more", "+").replace(" to ", "\u2013")


def _panels(theme: Theme, kinds: dict[str, list[Group]]) -> tuple["Figure", dict[str, Any]]:
    """A panel for each kind: one with many groups has a row of its own, the others stand side by side."""
    from matplotlib.figure import Figure

    wide = [kind for kind, groups in kinds.items() if len(groups) > 4]
    narrow = [kind for kind in kinds if kind not in wide]
    across = max(1, len(narrow))
    mosaic: list[Any] = [[kind] * across for kind in wide] + ([narrow] if narrow else [])
    figure = Figure(figsize=(10, 3.1 * max(1, len(mosaic)) + 0.5), layout="constrained", facecolor=theme.paper)
    panels = figure.subplot_mosaic(mosaic) if mosaic else {}
    for panel in panels.values():
        _style(panel, theme)
    return figure, panels


def _figure(theme: Theme, width: float, height: float) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor=theme.paper)
    axes = figure.subplots()
    _style(axes, theme)
    return figure, axes


def _style(axes: Any, theme: Theme) -> None:  # noqa: ANN401
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(theme.ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.ink)


def _legend(figure: "Figure", axes: Any, theme: Theme, columns: int) -> None:  # noqa: ANN401
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=theme.ink, fontsize=9
    )


def _save(draw: Callable[[Theme], "Figure"], path: Path) -> None:
    for theme, file in ((LIGHT, path), (DARK, dark_twin(path))):
        with atomic_file(file) as draft:
            draw(theme).savefig(draft, dpi=120, format="png")
