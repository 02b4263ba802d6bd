"""Write the report of a search: trials.csv, best.yaml, best.pth, summary.md and two plots."""

import csv
import io
import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from recbole_longinterest.common.files import atomic_file, write_text
from recbole_longinterest.experiments.tuning.driver import Outcome
from recbole_longinterest.experiments.tuning.records import ERROR, FINISHED, Trial
from recbole_longinterest.plugin.own_models import is_own
from recbole_longinterest.plugin.runs.choices import SETTING
from recbole_longinterest.plugin.runs.seen_masked import MASKED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 10  # trials in the summary


def write_report(outcome: Outcome, output: Path) -> str:
    """Write the report files of a search, finished or not.

    Args:
        outcome: outcome of the search.
        output: folder of the search.

    Returns:
        The text of summary.md.
    """
    _write_csv(outcome, output / "trials.csv")
    best = outcome.trials[0] if outcome.trials and outcome.valid_result else None
    if best is not None and best.checkpoint is not None:
        write_text(output / "best.yaml", best_yaml(outcome, best))
        _write_other_protocol(outcome, output)
        with atomic_file(output / "best.pth") as draft:
            shutil.copyfile(best.checkpoint, draft)
        plot_progress(outcome, output / "progress.png")
        plot_settings(outcome, output / "settings.png")
    text = summary(outcome, output)
    write_text(output / "summary.md", text)
    return text


def best_yaml(outcome: Outcome, best: Trial, protocol: str | None = None) -> str:
    """Render the best trial as a config file. A run with it gives the same validation score.

    Args:
        outcome: outcome of the search.
        best: the best trial.
        protocol: the protocol that chose it; the search's protocol if None.
    """
    protocol = protocol or outcome.plan.protocol
    plan = outcome.plan
    settings = {
        "model": plan.model,
        "dataset": plan.dataset,
        **plan.fixed,
        **best.setting,
        "num_threads": max(1, int(plan.cpus)),
    }
    if protocol != "native":
        settings[SETTING] = [MASKED]
    ran = [trial for trial in outcome.trials if trial.epochs]
    head = (
        f"# {plan.model} on {plan.dataset}: best of {len(ran)} trials by validation {outcome.metric}, {best.score!r}\n"
        f"# ({plan.search} search, {plan.scheduler} scheduler, {protocol} protocol).\n"
    )
    return head + yaml.safe_dump(_plain(settings), sort_keys=False, allow_unicode=True)


def _write_other_protocol(outcome: Outcome, output: Path) -> None:
    """Write the best settings by the other protocol, which did not stop the trials, as best.<protocol>.yaml."""
    plan = outcome.plan
    other = "native" if plan.protocol == "masked" else "masked"
    native = outcome.metric.removeprefix(f"{MASKED} ")
    key = native.lower() if other == "native" else MASKED
    if not all(key in epoch for trial in outcome.trials for epoch in trial.epochs):
        return  # the model has only the native protocol
    trials = [
        replace(trial, epochs=[{**epoch, "valid_score": epoch[key]} for epoch in trial.epochs])
        for trial in outcome.trials
        if trial.epochs and trial.status != ERROR
    ]
    best = max(trials, key=lambda trial: trial.score if trial.bigger else -trial.score)
    chosen = replace(outcome, metric=native if other == "native" else f"{MASKED} {native}", trials=trials)
    stopped = f"# The search stopped its trials by the {plan.protocol} protocol.\n"
    write_text(output / f"best.{other}.yaml", stopped + best_yaml(chosen, best, other))


def summary(outcome: Outcome, output: Path) -> str:
    """Render the outcome as Markdown."""
    plan, trials = outcome.plan, outcome.trials
    counts = {status: sum(trial.status == status for trial in trials) for status in {trial.status for trial in trials}}
    lines = [
        f"# {plan.model} on {plan.dataset}",
        "",
        f"{len(trials)} trials ({', '.join(f'{n} {status}' for status, n in sorted(counts.items()))}), "
        f"{plan.search} search, {plan.scheduler} scheduler; chosen by validation {outcome.metric}.",
        "",
    ]
    lines += _how_it_ended(outcome)
    names = sorted({name for trial in trials for name in trial.setting})
    table = [["trial", f"validation {outcome.metric}", "epoch", "of", "seconds", *names]]
    for trial in trials[:SHOWN]:
        best = trial.best
        if best is not None and trial.status != ERROR:
            cells = [trial.name, f"{best['valid_score']:.4f}", str(best["epoch"]), str(trial.epochs[-1]["epoch"])]
            table.append(
                [*cells, f"{trial.epochs[-1]['seconds']:.0f}", *(_short(trial.setting.get(name)) for name in names)]
            )
    if len(table) > 1:
        lines += _markdown(table)
    failed = [trial for trial in trials if trial.status == ERROR]
    if failed:
        lines += [
            "",
            "Failed:",
            "",
            *(f"- {trial.name}: {trial.reason} ({json.dumps(trial.setting)})" for trial in failed),
        ]
    if outcome.test_result and outcome.valid_result:
        lines += ["", "The winner, tested once, after the search:", ""]
        rows = [
            [name, f"{outcome.valid_result[name]:.4f}", f"{value:.4f}"] for name, value in outcome.test_result.items()
        ]
        lines += _markdown([["metric", "validation", "test"], *rows])
        own = f"--model {plan.model} " if is_own(plan.model) else ""  # files cannot name it
        again = f"recbole-li run {own}--config_files {shlex.quote(str(output / 'best.yaml'))}"
        lines += ["", f"Its settings again: `{again}`. Its model is best.pth."]
    return "\n".join(lines) + "\n"


def _how_it_ended(outcome: Outcome) -> list[str]:
    """Lines on a search that was stopped with trials left to run; empty for a finished search."""
    lines = []
    if outcome.interrupted:
        lines += ["The search was stopped; run the same command with --resume to continue.", ""]
    elif outcome.time_budget is not None:
        lines += [
            f"The time budget of {outcome.time_budget:g} s ended the search; run the same command with --resume to "
            "continue for the same time.",
            "",
        ]
    else:
        return lines
    if not any(trial.epochs for trial in outcome.trials):
        lines += ["No trial has finished an epoch, so there is no best trial.", ""]
    elif not any(trial.status == FINISHED for trial in outcome.trials):
        lines += ["No trial has finished its training; the best epoch so far is used.", ""]
    return lines


def _write_csv(outcome: Outcome, path: Path) -> None:
    settings = sorted({name for trial in outcome.trials for name in trial.setting})
    metrics = sorted({name for trial in outcome.trials for epoch in trial.epochs for name in epoch})
    metrics = [name for name in metrics if name not in ("epoch", "seconds", "valid_score")]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["trial", "status", "reason", "node", "valid_score", "best_epoch", "epochs", "seconds", *metrics, *settings]
    )
    for trial in outcome.trials:
        best, last = trial.best or {}, trial.epochs[-1] if trial.epochs else {}
        rows.writerow(
            [trial.name, trial.status, trial.reason, trial.node, best.get("valid_score"), best.get("epoch")]
            + [last.get("epoch", 0), last.get("seconds")]
            + [best.get(name) for name in metrics]
            + [trial.setting.get(name) for name in settings]
        )
    write_text(path, text.getvalue())


# --- plots -----------------------------------------------------------------------------------------------------------


def plot_progress(outcome: Outcome, path: Path) -> None:
    """Plot the validation metric of every trial by epoch, with the best trial in colour."""
    figure, axes = _figure(8, 4.5)
    for place, trial in reversed(list(enumerate(trial for trial in outcome.trials if trial.epochs))):
        style = {"color": "#c1121f", "lw": 2.2, "zorder": 3, "label": f"best: {trial.name}"} if place == 0 else {}
        points = [(epoch["epoch"], epoch["valid_score"]) for epoch in trial.epochs]
        axes.plot(
            *zip(*points, strict=True), **{"color": "#2a6f97", "lw": 1, "alpha": 0.5, "marker": ".", "ms": 3, **style}
        )
    axes.set(
        xlabel="epoch",
        ylabel=f"validation {outcome.metric}",
        title=f"{outcome.plan.model} on {outcome.plan.dataset}",
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    _save(figure, path)


def plot_settings(outcome: Outcome, path: Path) -> None:
    """Plot parallel coordinates: a line per trial through its drawn values, coloured by its score."""
    import matplotlib

    trials = [trial for trial in outcome.trials if trial.epochs and trial.status != ERROR][::-1]
    names = sorted({name for trial in trials for name in trial.setting})
    scores = np.array([trial.score for trial in trials])
    axes_of = [(name, [trial.setting.get(name) for trial in trials]) for name in names]
    axes_of.append((f"validation\n{outcome.metric}", scores.tolist()))
    figure, axes = _figure(max(7, 1.5 * len(axes_of)), 4.8)
    columns = []
    for place, (_, values) in enumerate(axes_of):
        heights, ticks = _heights(values)
        columns.append(heights)
        axes.axvline(place, color="#bbbbbb", lw=1, zorder=0)
        for height, text in ticks:
            axes.annotate(text, (place, height), (4, 0), textcoords="offset points", fontsize=8, va="center", zorder=4)
    low, high = scores.min(), scores.max()
    colours = matplotlib.colormaps["viridis"]((scores - low) / (high - low) if high > low else np.ones_like(scores))
    for trial, colour in enumerate(colours):
        axes.plot(range(len(columns)), [column[trial] for column in columns], color=colour, lw=1.5, alpha=0.85)
    axes.set_xticks(range(len(axes_of)), [name for name, _ in axes_of], rotation=20, ha="right")
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlim(-0.1, len(axes_of) - 0.4)
    axes.set_title(f"{outcome.plan.model} on {outcome.plan.dataset}: brighter is better")
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    _save(figure, path)


def _heights(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights of values from 0 to 1, and tick labels; few distinct values are spaced evenly."""
    present = [value for value in values if value is not None]
    kinds = sorted({_short(value) for value in present}, key=lambda text: (_number(text), text))
    if len(kinds) <= 6 or not all(isinstance(value, (int, float)) for value in present):
        kinds += ["-"] if len(present) < len(values) else []
        place = {kind: index / max(1, len(kinds) - 1) for index, kind in enumerate(kinds)}
        return [place["-" if value is None else _short(value)] for value in values], [(h, k) for k, h in place.items()]
    low, high = min(present), max(present)
    log = low > 0 and high / low >= 10
    scale = np.log if log else float
    span = scale(high) - scale(low)
    heights = [float("nan") if value is None else float((scale(value) - scale(low)) / span) for value in values]
    middle = float(np.sqrt(low * high)) if log else (low + high) / 2
    return heights, [(0.0, _short(low)), (0.5, _short(middle)), (1.0, _short(high))]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: "Figure", path: Path) -> None:
    with atomic_file(path) as draft:
        figure.savefig(draft, dpi=120, format="png")


# --- text ------------------------------------------------------------------------------------------------------------


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    head, *rows = ["| " + " | ".join(row) + " |" for row in table]
    return [head, "|" + "---|" * len(table[0]), *rows]


def _short(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    """Convert tuples to lists, because yaml would write tuples as Python objects."""
    return json.loads(json.dumps(value))
