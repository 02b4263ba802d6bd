"""Plots of a comparison: means with intervals, differences to the best baseline, slices."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.blocks import Block
from recbole_longinterest.experiments.comparison.groups import Group
from recbole_longinterest.experiments.comparison.protocol import PROTOCOLS
from recbole_longinterest.experiments.comparison.rows import full_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {"history": "events before the target", "target": "target in training", "repeat": "target and history"}


PROTOCOL_COLOURS = {"native": "#2a6f97", "seen-masked": "#c1121f"}
MODEL_COLOURS = ("#c1121f", "#2a6f97", "#5a9367", "#8d6a9f", "#c98b2b", "#6c757d")  # LongInterest's first
SHOWN = len(MODEL_COLOURS)
LEGEND: Any = {"loc": "outside lower center", "frameon": False, "fontsize": 9}
INK, GRID = "#1b1b1b", "#e5e5e5"


def plot_means(blocks: Sequence[Block], metric: str, over: str, path: Path) -> None:
    """Plot the mean and 95 % interval of each model in both protocols.

    Args:
        blocks: one data set in both protocols.
        metric: name of the metric.
        over: what the intervals are over.
        path: PNG to write.
    """
    order = sorted(range(len(blocks[0].names)), key=lambda place: blocks[0].means[place])

    figure, axes = _figure(8, 1.2 + 0.42 * len(order))
    for shift, block in zip((-0.13, 0.13), blocks, strict=False):
        means = [block.means[place] for place in order]
        low = [max(0.0, block.means[place] - block.intervals[place][0]) for place in order]
        high = [max(0.0, block.intervals[place][1] - block.means[place]) for place in order]
        heights = [row - shift for row in range(len(order))]
        colour = PROTOCOL_COLOURS[block.protocol]
        axes.errorbar(means, heights, xerr=(low, high), fmt="o", ms=5, capsize=3, color=colour, label=block.protocol)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_yticks(range(len(order)), [blocks[0].names[place] for place in order])
    axes.set_xlabel(f"test {metric}, mean and 95 % interval over {over}")
    axes.set_title(blocks[0].dataset)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=GRID)
    _legend(figure, axes, 2)
    _save(figure, path)


def plot_differences(blocks: Sequence[Block], path: Path) -> None:
    """Draw a forest plot: every row against the best baseline, in percent.

    Args:
        blocks: one data set in both protocols, with differences.
        path: PNG to write.
    """
    names = [difference.name for difference in blocks[0].differences]
    for block in blocks[1:]:
        names += [difference.name for difference in block.differences if difference.name not in names]
    value = {difference.name: difference.relative for difference in blocks[0].differences}
    names.sort(key=lambda name: value.get(name, 0.0))

    figure, axes = _figure(8, 1.4 + 0.42 * len(names))
    for shift, block in zip((-0.13, 0.13), blocks, strict=False):
        colour = PROTOCOL_COLOURS[block.protocol]
        for difference in block.differences:
            middle, low, high = (100 * part for part in (difference.relative, difference.low, difference.high))
            axes.errorbar(
                middle, names.index(difference.name) - shift,
                xerr=[[max(0.0, middle - low)], [max(0.0, high - middle)]],
                fmt="o", ms=5, capsize=3, color=colour,
                mfc="white" if difference.verdict == "open" else None,
            )  # fmt: skip
        against = block.baseline or "each data set's best baseline"
        axes.errorbar([], [], fmt="o", color=colour, label=f"{block.protocol}, against {against}")
    axes.axvline(0, color=INK, lw=1)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("difference in percent, 95 % interval; hollow: open")
    axes.set_title(blocks[0].dataset)
    axes.grid(axis="x", color=GRID)
    _legend(figure, axes, 1)
    _save(figure, path)


def plot_slices(study: Study, groups: Sequence[Group], protocol: str, path: Path) -> None:
    """Plot bars with intervals for each group: the study's subject, then the models with most seeds and best metrics.

    Both protocols show the same models in the same colours. Small groups are pale.

    Args:
        study: the data set.
        groups: its groups in this protocol.
        protocol: native or seen-masked.
        path: PNG to write.
    """
    kinds: dict[str, list[Group]] = {}
    for group in groups:
        kinds.setdefault(group.kind, []).append(group)
    kinds = {kind: parts for kind, parts in kinds.items() if len(parts) > 1 and kind != "cold"}
    places = [place for place, row in enumerate(study.rows) if row.kind != "ablation"] or range(len(study.rows))
    means = [sum(row.means(each, study.metric).mean() for each in PROTOCOLS) for row in study.rows]
    full = full_rows(study.rows, range(len(study.rows)))
    subject = [row.name == study.subject for row in study.rows]
    places = sorted(places, key=lambda place: (not subject[place], place not in full, -means[place]))[:SHOWN]

    from matplotlib.patches import Patch

    figure, panels = _panels(kinds)
    for kind, panel in panels.items():
        _bars(panel, kinds[kind], places)
        panel.set_title(TITLES.get(kind, kind))
    if panels:
        first = next(iter(panels.values()))
        first.set_ylabel(f"test {study.metric}, {protocol}")
        names = [study.rows[place].name for place in places]
        handles = [Patch(color=colour, label=name) for colour, name in zip(MODEL_COLOURS, names, strict=False)]
        figure.legend(handles=handles, **LEGEND, ncols=len(places))
    _save(figure, path)


def _bars(panel: "Axes", groups: Sequence[Group], places: Sequence[int]) -> None:
    width = 0.84 / len(places)
    for number, place in enumerate(places):
        heights = np.nan_to_num([group.means[place] for group in groups])
        bounds = np.nan_to_num([group.intervals[place] for group in groups])
        at = np.arange(len(groups)) + (number - (len(places) - 1) / 2) * width
        spread = np.clip([heights - bounds[:, 0], bounds[:, 1] - heights], 0, None)
        bars = panel.bar(at, heights, width * 0.92, color=MODEL_COLOURS[number])
        panel.errorbar(at, heights, yerr=spread, fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.5)
        for bar, group in zip(bars, groups, strict=True):
            bar.set_alpha(0.35 if group.small else 1.0)
    labels = [f"{_short(group.name)}{'†' if group.small else ''}\n({group.rows})" for group in groups]
    panel.set_xticks(range(len(groups)), labels, fontsize=8)
    panel.set_ylim(bottom=0)
    panel.grid(axis="y", color=GRID)


def _short(name: str) -> str:
    return re.sub(r"(\d) to (\d)", "\\1\u2013\\2", name).replace(" events", "").replace(" and more", "+")


def _panels(kinds: dict[str, list[Group]]) -> tuple["Figure", dict[str, Any]]:
    """A panel for each kind: kinds with many groups get a full row, the others share a row."""
    from matplotlib.figure import Figure

    wide = [kind for kind, groups in kinds.items() if len(groups) > 4]
    narrow = [kind for kind in kinds if kind not in wide]
    across = max(1, len(narrow))
    mosaic: list[Any] = [[kind] * across for kind in wide] + ([narrow] if narrow else [])
    figure = Figure(figsize=(10, 3.1 * max(1, len(mosaic)) + 0.5), layout="constrained")
    panels = figure.subplot_mosaic(mosaic) if mosaic else {}
    for panel in panels.values():
        _style(panel)
    return figure, panels


def _figure(width: float, height: float) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _style(axes)
    return figure, axes


def _style(axes: "Axes") -> None:
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: "Figure", axes: "Axes", columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, **LEGEND, ncols=columns)


def _save(figure: "Figure", path: Path) -> None:
    with atomic_file(path) as draft:
        figure.savefig(draft, dpi=120, format="png")
