"""Tables of one data set: results in each protocol, ablations, slices, list properties and costs."""

from collections.abc import Sequence

import numpy as np

from recbole_longinterest.experiments.comparison.analysis import Difference, Study
from recbole_longinterest.experiments.comparison.blocks import Block
from recbole_longinterest.experiments.comparison.groups import Group
from recbole_longinterest.experiments.comparison.protocol import MASKED, PROTOCOLS
from recbole_longinterest.experiments.comparison.rows import Row
from recbole_longinterest.experiments.comparison.variants import OWN
from recbole_longinterest.experiments.comparison.verdicts import p_text
from recbole_longinterest.experiments.documents import Table

BEYOND = ("itemcoverage", "giniindex", "averagepopularity", "tailpercentage")
NORMAL = 1.959964  # normal quantile of a 95 % interval


def main_table(study: Study, block: Block) -> Table:
    """Results of all rows in one protocol."""
    k = study.metric.split("@")[1]
    others = [name for name in (f"recall@{k}", f"mrr@{k}") if name != study.metric]
    against = f"against {block.baseline}" if block.baseline else "difference"
    head = ["model", study.metric, "95 %", against, "95 %", "p", "verdict", "seeds", *others, "validation", "settings"]
    rows = []
    for row, mean, (low, high) in zip(study.rows, block.means, block.intervals, strict=True):
        difference = block.difference(row.name)
        score = row.validation(block.protocol)
        rows.append(
            [
                row.name,
                f"{mean:.4f}",
                f"{low:.4f} to {high:.4f}",
                *difference_cells(difference),
                "best baseline"
                if row.name == block.baseline
                else "not compared"
                if row.apart
                else difference.verdict
                if difference and study.headline
                else "",
                _seeds(row, block.protocol, study.metric),
                *(f"{np.mean(row.reported(block.protocol, name)):.4f}" for name in others),
                "" if score is None else f"{score:.4f}",
                row.source + (", epoch chosen natively" if block.protocol == MASKED and row.chose_natively else ""),
            ]
        )
    return Table(head, rows, block.best)


def _seeds(row: Row, protocol: str, metric: str) -> str:
    values = row.reported(protocol, metric)
    spread = f"({min(values):.4f} to {max(values):.4f})" if len(values) > 1 else "(users only)"
    return f"{row.said_seeds} {spread}"


def difference_cells(difference: Difference | None) -> list[str]:
    """Cells for a difference, its interval and its p; empty without a difference."""
    if difference is None:
        return ["", "", ""]
    low, high = f"{100 * difference.low:+.1f}", f"{100 * difference.high:+.1f}"
    return [f"{100 * difference.relative:+.1f} %", f"{low} to {high}", p_text(difference.p)]


def ablation_table(study: Study, protocol: str) -> Table | None:
    """Every ablation against the full model; None if no ablation has run."""
    rows = [[entry.name, *difference_cells(entry), entry.verdict] for entry in study.ablations(protocol)]
    head = [f"against {OWN}, {study.metric}, {protocol}", "difference", "95 %", "p", "verdict"]
    return Table(head, rows) if rows else None


def pooled_table(block: Block) -> Table:
    """All rows against each data set's best baseline."""
    rows = [[entry.name, *difference_cells(entry), entry.verdict] for entry in block.differences]
    return Table([f"model, {block.protocol}", "difference", "95 %", "p", "verdict"], rows)


def slice_table(study: Study, groups: Sequence[Group], protocol: str) -> Table:
    """The main metric of all rows in every group, with half the width of the interval; small groups are faint."""
    head = [f"{study.metric}, {protocol}", "rows", "users", *(row.name for row in study.rows)]
    rows = [
        [
            f"{group.kind}: {group.name}{' †' if group.small else ''}",
            str(group.rows),
            str(group.users),
            *(_spread(mean, bounds) for mean, bounds in zip(group.means, group.intervals, strict=True)),
        ]
        for group in groups
    ]
    return Table(head, rows, faint=frozenset(place for place, group in enumerate(groups) if group.small))


def _spread(mean: float, bounds: tuple[float, float]) -> str:
    return "" if np.isnan(mean) else f"{mean:.4f} ±{(bounds[1] - bounds[0]) / 2:.4f}"


def beyond_table(study: Study, protocol: str) -> Table:
    """List properties in one protocol, with 95 % intervals over users and seeds."""
    k = study.metric.split("@")[1]
    rows = []
    for row in study.rows:
        cells = []
        for name in (f"{name}@{k}" for name in BEYOND):
            value, error = float(np.mean(row.reported(protocol, name))), row.error(protocol, name)
            cells.append(_number(value) + ("" if np.isnan(error) else f" ±{_number(NORMAL * error)}"))
        rows.append([row.name, *cells])
    return Table([f"model, {protocol}", *(f"{name}@{k}" for name in BEYOND)], rows)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def cost_table(study: Study) -> Table:
    """Costs of each row, and the best epochs by protocol; deterministic rows have no parameters and epochs."""
    head = ["model", "train seconds", "peak MB", "parameters", "epochs"]
    head += [f"best epoch, {protocol}" for protocol in PROTOCOLS] + ["tied targets"]
    rows = []
    for row in study.rows:
        chosen = [[(result.get("choices") or {}).get(protocol, {}) for result in row.results] for protocol in PROTOCOLS]
        epochs = [[each["epoch"] for each in of if "epoch" in each] for of in chosen]
        rows.append(
            [
                row.name,
                whole(row.mean("train_seconds")),
                whole(row.mean("peak_memory_mb")),
                *(["", ""] if row.seedless else [whole(row.mean(name)) for name in ("parameters", "epochs")]),
                *(f"{np.mean(of):.1f}" if of and not row.seedless else "" for of in epochs),
                f"{100 * row.mean('tie_share'):.1f} %",
            ]
        )
    return Table(head, rows)


def whole(value: float | None) -> str:
    """Format a number without decimals; empty if it is unknown."""
    return "" if value is None or np.isnan(value) else f"{value:.0f}"
