"""The plots of a comparison: means with intervals, differences to the best baseline, slices."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.blocks import Block
from recbole_longinterest.experiments.comparison.variants import OWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"native": "#2a6f97", "seen-masked": "#c1121f"}
LINES = ("#c1121f", "#2a6f97", "#5a9367", "#b5838d", "#8d6a9f", "#c98b2b", "#4d4d4d", "#3aa6b9")


def plot_means(blocks: Sequence[Block], metric: str, path: Path) -> None:
    """Plot the mean and 95 % interval of each model in both protocols.

    Args:
        blocks: one data set in both protocols.
        metric: name of the metric.
        path: PNG to write.
    """
    order = sorted(range(len(blocks[0].names)), key=lambda place: blocks[0].means[place])
    figure, axes = _figure(8, 1.2 + 0.42 * len(order))
    for shift, block in zip((-0.13, 0.13), blocks, strict=False):
        means = [block.means[place] for place in order]
        low = [max(0.0, block.means[place] - block.intervals[place][0]) for place in order]
        high = [max(0.0, block.intervals[place][1] - block.means[place]) for place in order]
        heights = [row - shift for row in range(len(order))]
        axes.errorbar(
            means, heights, xerr=(low, high), fmt="o", ms=5, capsize=3, color=COLOURS[block.protocol],
            label=block.protocol,
        )  # fmt: skip
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_yticks(range(len(order)), [blocks[0].names[place] for place in order])
    axes.set(xlabel=f"test {metric}, mean of the seeds and 95 % interval over users", title=blocks[0].dataset)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
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
        for difference in block.differences:
            middle, low, high = (100 * part for part in (difference.relative, difference.low, difference.high))
            axes.errorbar(
                middle, names.index(difference.name) - shift,
                xerr=[[max(0.0, middle - low)], [max(0.0, high - middle)]],
                fmt="o", ms=5, capsize=3, color=COLOURS[block.protocol],
                mfc="white" if difference.verdict == "open" else None,
            )  # fmt: skip
        against = block.baseline or "each data set's best baseline"
        axes.errorbar([], [], fmt="o", color=COLOURS[block.protocol], label=f"{block.protocol}, against {against}")
    axes.axvline(0, color="#444444", lw=1)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="difference in percent, 95 % interval; hollow: open", title=blocks[0].dataset)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    _save(figure, path)


def plot_slices(study: Study, protocol: str, path: Path) -> None:
    """Plot a panel for each kind of slice with a line for each of the eight models with most seeds and best metrics.

    Args:
        study: the data set.
        protocol: native or seen-masked.
        path: PNG to write.
    """
    kinds = {kind: parts for kind, parts in study.slices().items() if len(parts) > 1}
    rows = [row for row in study.rows if row.kind in ("model", "baseline")] or study.rows
    rows = sorted(rows, key=lambda row: (row.name != OWN, -len(row.seeds), -row.values(protocol, study.metric).mean()))
    rows = rows[: len(LINES)]
    figure, panels = _figure(4.2 * max(1, len(kinds)), 4.6, max(1, len(kinds)))
    for panel, (kind, parts) in zip(panels, kinds.items(), strict=False):
        labels = [f"{_short(name)}\n({mask.sum(axis=1).mean():.0f})" for name, mask in parts.items()]
        for row, colour in zip(rows, LINES, strict=False):
            means = [row.mean_of(protocol, study.metric, mask) for mask in parts.values()]
            panel.plot(range(len(means)), means, marker="o", ms=4, lw=1.6, color=colour, label=row.name)
        panel.set_xticks(range(len(labels)), labels, fontsize=8)
        panel.set_title({"history": "events before the target", "target": "target in training"}.get(kind, kind))
        panel.set_ylim(bottom=0)
        panel.grid(axis="y", color="#e5e5e5")
        panel.set_axisbelow(True)
    if kinds:
        panels[0].set_ylabel(f"test {study.metric}, {protocol}")
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=min(4, len(rows)), frameon=False)
    _save(figure, path)


def _short(name: str) -> str:
    return name.replace(" events", "").replace(" and more", "+").replace(" to ", "\u2013")


def _figure(width: float, height: float, columns: int | None = None) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes: Any = figure.subplots() if columns is None else list(figure.subplots(1, columns, squeeze=False)[0])
    panels = [axes] if columns is None else axes
    for panel in panels:
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    return figure, axes


def _save(figure: "Figure", path: Path) -> None:
    with atomic_file(path) as draft:
        figure.savefig(draft, dpi=120, format="png")
