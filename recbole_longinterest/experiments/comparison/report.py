"""Write the report of a comparison: results.csv, per_user.parquet, summary.md, summary.html, table.tex and plots."""

import contextlib
import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_longinterest.common.files import atomic_file, write_text
from recbole_longinterest.experiments.comparison import plots
from recbole_longinterest.experiments.comparison.analysis import Difference, Study, studies_of
from recbole_longinterest.experiments.comparison.blocks import Block, blocks_of
from recbole_longinterest.experiments.comparison.driver import Outcome
from recbole_longinterest.experiments.comparison.orders import about_data, view_parts
from recbole_longinterest.experiments.comparison.protocol import MASKED, NATIVE, PROTOCOLS
from recbole_longinterest.experiments.comparison.variants import OWN, PUBLISHED
from recbole_longinterest.experiments.documents import Block as Part
from recbole_longinterest.experiments.documents import Heading, Image, Points, Table, Text, latex, markdown, page

BEYOND = ("itemcoverage", "giniindex", "averagepopularity", "tailpercentage")
HOW = (
    "Every model reads the same log, split and catalogue; the epoch is chosen on the validation data, by the native "
    "protocol. {native}; seen-masked leaves out what the user has had before the target, whatever the model. An item "
    "with the target's score counts half. Means are over the seeds, intervals 95 % by bootstrap over users of these "
    "seeds' mean; differences are to the best of RecBole's models as they are with most seeds (the best on this very "
    "test data, which favours it), over the seeds that both have, paired by user, p corrected by Holm for the rows of "
    "the table. A row wins or loses only where the interval excludes 0 and p is below 0.05, else it is open."
)
ALL_ITEMS = "Native ranks all items, as RecBole does for sequential models"


def write_report(outcome: Outcome, output: Path) -> str:
    """Write the files of a comparison that has ended or was stopped.

    Args:
        outcome: outcome of the comparison.
        output: its folder.

    Returns:
        The text of summary.md.
    """
    studies = studies_of(outcome)
    _write_csv(studies, output / "results.csv")
    blocks = {protocol: blocks_of(studies, protocol) for protocol in PROTOCOLS}
    parts: list[Part] = [Heading("Comparison", 1)]
    missing = [f"{study.dataset}: {name}, {run}" for study in studies for name, run in study.missing]
    if missing:
        parts.append(Text(f"{len(missing)} cells have not run yet; the same command goes on."))
    parts.append(Text(_how(studies)))
    parts += view_parts(studies)
    tables: list[str] = []
    for study in studies:
        own = [block for protocol in PROTOCOLS for block in blocks[protocol] if block.dataset == study.dataset]
        parts += _study_parts(study, own, output, tables)
    pooled = [block for protocol in PROTOCOLS for block in blocks[protocol][-1:] if not _is_study(block, studies)]
    if pooled:
        parts += _pooled_parts(studies, pooled, output)
    parts += _how_made(studies, outcome.same)
    write_text(output / "table.tex", "\n".join(tables))
    text = markdown(parts)
    write_text(output / "summary.md", text)
    write_text(output / "summary.html", page(parts, "Comparison"))
    _write_per_user(studies, output / "per_user.parquet")
    return text


def _how(studies: Sequence[Study]) -> str:
    results = [result for study in studies for row in study.rows for result in row.results]
    modes = sorted({str(result["manifest"]["config"]["eval_args"]["mode"]["test"]) for result in results} - {"full"})
    splits = sorted({str(result["manifest"]["config"]["eval_args"]["split"]) for result in results})
    sampled = (
        f"Native ranks the target among candidates that RecBole draws ({', '.join(modes)}), the same for all models"
    )
    how = HOW.format(native=sampled if modes else ALL_ITEMS)
    return f"{how} Split: {', '.join(splits)}." if splits else how


def _is_study(block: Block, studies: Sequence[Study]) -> bool:
    return any(block.dataset == study.dataset for study in studies)


# --- one data set ----------------------------------------------------------------------------------------------------


def _study_parts(study: Study, blocks: Sequence[Block], output: Path, tables: list[str]) -> list[Part]:
    parts: list[Part] = [Heading(study.dataset)]
    if study.rows:
        about = study.rows[0].results[0]["data"]
        cold = round(float(study.cold.sum(axis=1).mean()))
        parts.append(
            Text(
                f"{about['users']} users, {about['items']} items, {about['interactions']} interactions; "
                f"{about['rows'][0]} training, {about['rows'][1]} validation and {about['rows'][2]} test rows, "
                f"{cold} of them with a target that has no training event; SHA-256 of the split {about['split'][:16]}."
            )
        )
        parts += about_data(study)
    for block in blocks:
        table = _main_table(study, block)
        parts += [Heading(f"{study.dataset}, {block.protocol}", 3), table]
        if block.stronger:
            parts.append(
                Text(
                    f"Better than the best baseline over the seeds that both have, and not it for having fewer: "
                    f"{', '.join(block.stronger)}."
                )
            )
        caption = f"{study.dataset}, {block.protocol}: test results, mean of the seeds, 95 % intervals over users."
        tables.append(latex(table, caption, f"tab:{study.key}-{block.protocol}"))
    if blocks:
        name = output / f"means-{study.key}.png"
        plots.plot_means(blocks, study.metric, name)
        parts.append(Image(name, f"{study.metric} of every model on {study.dataset}"))
        if any(block.differences for block in blocks):
            name = output / f"differences-{study.key}.png"
            plots.plot_differences([block for block in blocks if block.differences], name)
            parts.append(Image(name, f"differences to the best baseline on {study.dataset}"))
        parts += [*_ablation_parts(study), Heading("Slices", 3), *_slice_parts(study, output)]
        parts += [Heading("Beyond accuracy", 3), _beyond_table(study)]
    if study.failed:
        parts += [Heading("Could not run", 3)]
        parts.append(Points([f"{name}, {run}: {error}" for name, run, error in study.failed]))
    return parts


def _main_table(study: Study, block: Block) -> Table:
    k = study.metric.split("@")[1]
    others = [name for name in (f"recall@{k}", f"mrr@{k}") if name != study.metric]
    difference = {entry.name: entry for entry in block.differences}
    head = ["model", study.metric, "95 %", "seeds", *others, "difference", "95 %", "p", "", "settings"]
    rows = []
    for row, mean, (low, high) in zip(study.rows, block.means, block.intervals, strict=True):
        seeds = row.reported(block.protocol, study.metric)
        spread = f"{len(seeds)} ({min(seeds):.4f} to {max(seeds):.4f})" if len(seeds) > 1 else "1"
        rows.append(
            [
                row.name,
                f"{mean:.4f}",
                f"{low:.4f} to {high:.4f}",
                spread,
                *(f"{np.mean(row.reported(block.protocol, name)):.4f}" for name in others),
                *_difference_cells(difference.get(row.name)),
                "best baseline"
                if row.name == block.baseline
                else difference[row.name].verdict
                if row.name in difference and study.headline
                else "",
                row.source,
            ]
        )
    most = max(len(row.seeds) for row in study.rows)
    complete = [pair for pair in zip(block.means, study.rows, strict=True) if len(pair[1].seeds) == most]
    best = max(complete, key=lambda pair: pair[0])[1].name
    return Table(head, rows, best)


def _difference_cells(difference: Difference | None) -> list[str]:
    if difference is None:
        return ["", "", ""]
    low, high = f"{100 * difference.low:+.1f}", f"{100 * difference.high:+.1f}"
    p = "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"
    return [f"{100 * difference.relative:+.1f} %", f"{low} to {high}", p]


def _ablation_parts(study: Study) -> list[Part]:
    parts: list[Part] = []
    for protocol in PROTOCOLS:
        rows = [[entry.name, *_difference_cells(entry), entry.verdict] for entry in study.ablations(protocol)]
        if rows:
            parts.append(Table([f"against {OWN}, {study.metric}, {protocol}", "difference", "95 %", "p", ""], rows))
    return [Heading("Ablations", 3), *parts] if parts else []


def _slice_parts(study: Study, output: Path) -> list[Part]:
    parts: list[Part] = [
        Text("Means of many slices, without intervals or a correction for their number: small ones say nothing.")
    ]
    for protocol in PROTOCOLS:
        head = [f"{study.metric}, {protocol}", "rows", *(row.name for row in study.rows)]
        rows = [
            [
                f"{kind}: {name}",
                f"{mask.sum(axis=1).mean():.0f}",
                *(f"{row.mean_of(protocol, study.metric, mask):.4f}" for row in study.rows),
            ]
            for kind, parts_of in study.slices().items()
            for name, mask in parts_of.items()
        ]
        k = int(study.metric.split("@")[1])
        cold = study.cold
        if cold.any():
            number = f"{cold.sum(axis=1).mean():.0f}"
            for text, of in (("among all items", protocol), ("among cold items", "among_cold")):
                shares = [f"{(row.ranks[of][cold[row.orders]] <= k).mean():.4f}" for row in study.rows]
                rows.append([f"cold: recall@{k} {text}", number, *shares])
        name = output / f"slices-{study.key}-{protocol}.png"
        plots.plot_slices(study, protocol, name)
        parts += [Table(head, rows), Image(name, f"slices of {study.dataset}, {protocol}")]
    return parts


def _whole(value: float | None) -> str:
    """A number without decimals; empty if it is not known."""
    return "" if value is None or np.isnan(value) else f"{value:.0f}"


def _beyond_table(study: Study) -> Table:
    k = study.metric.split("@")[1]
    head = ["model", *(f"{name}@{k}" for name in BEYOND), *(f"{name}@{k}, masked" for name in BEYOND)]
    head += ["train seconds", "peak MB", "parameters", "epochs", "ties"]
    rows = []
    for row in study.rows:
        cells = [f"{np.mean(row.reported(protocol, f'{name}@{k}')):.4g}" for protocol in PROTOCOLS for name in BEYOND]
        cells += [f"{row.mean('train_seconds'):.0f}", _whole(row.mean("peak_memory_mb"))]
        cells += [f"{row.mean('parameters'):.0f}", f"{row.mean('epochs'):.1f}", f"{100 * row.mean('tie_share'):.1f} %"]
        rows.append([row.name, *cells])
    return Table(head, rows)


# --- all of them -----------------------------------------------------------------------------------------------------


def _pooled_parts(studies: Sequence[Study], blocks: Sequence[Block], output: Path) -> list[Part]:
    parts: list[Part] = [Heading(f"{blocks[0].dataset}, pooled")]
    names = ", ".join(study.dataset for study in studies if study.pooled)
    parts.append(Text(f"Mean over {names} of the ratio to each one's best baseline; users drawn in each."))
    for block in blocks:
        rows = [[entry.name, *_difference_cells(entry), entry.verdict] for entry in block.differences]
        parts.append(Table([f"model, {block.protocol}", "difference", "95 %", "p", ""], rows))
    name = output / "differences-pooled.png"
    plots.plot_differences(blocks, name)
    parts.append(Image(name, "pooled differences to the best baseline"))
    return parts


def _how_made(studies: Sequence[Study], same: Sequence[str]) -> list[Part]:
    results = [(study, row, result) for study in studies for row in study.rows for result in row.results]
    parts: list[Part] = [Heading("How it was made")]
    untuned = sorted({f"{row.name} on {study.dataset}" for study, row, _ in results if row.source == PUBLISHED})
    lines = [f"Not tuned, at the model's own defaults: {', '.join(untuned)}."] if untuned else []
    lines += same
    lines.append(
        "Pop and Markov are this command's own. RecBole's general models learn from the same events and rank the "
        "same rows as its sequential ones."
    )
    if results:
        manifests = [result["manifest"] for _, _, result in results]
        lines.append("Versions: " + "; ".join(sorted({_versions(each["versions"]) for each in manifests})))
        lines.append("Commit: " + ", ".join(sorted({str(each["commit"]) for each in manifests})))
        files = {f"{name} {digest}" for each in manifests for name, digest in each["files"].items()}
        lines += [f"Input, SHA-256: {line}" for line in sorted(files)]
    lines.append("Settings, versions, split hash and tie share of every run: cells/<data set>/<row>/result.json.")
    return [*parts, Points(lines)]


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


# --- tables for programs ---------------------------------------------------------------------------------------------


def _write_csv(studies: Sequence[Study], path: Path) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    head = ["dataset", "model", "seed", "protocol", "metric", "value", "train_seconds", "peak_memory_mb", "parameters"]
    rows.writerow([*head, "tie_seed"])
    for study in studies:
        for row in study.rows:
            for seed, order, result in zip(row.seeds, row.orders, row.results, strict=True):
                costs = [f"{result['train_seconds']:.1f}", _whole(result["peak_memory_mb"]), result["parameters"]]
                valid = result["validation"]
                values = [("validation", valid["metric"].lower(), valid["score"])]
                values += [(p, name, value) for p in PROTOCOLS for name, value in result["metrics"][p].items()]
                costs.append(list(study.tables)[order])
                for protocol, name, value in values:
                    rows.writerow([study.dataset, row.name, seed, protocol, name, value, *costs])
    write_text(path, text.getvalue())


def _write_per_user(studies: Sequence[Study], path: Path) -> None:
    """Write a line for each test row and run with ranks and slices; holds one run in memory at a time."""
    runs = [(study, row, place) for study in studies for row in study.rows for place in range(len(row.seeds))]
    if not runs:
        return
    datasets, models = sorted({study.dataset for study, _, _ in runs}), sorted({row.name for _, row, _ in runs})
    described = [table for study, _, _ in runs for table in study.tables.values()]
    levels = sorted({str(level) for table in described for level in table["popularity"].unique()})
    with atomic_file(path) as draft, contextlib.ExitStack() as open_files:
        writer = None
        for study, row, place in runs:
            number, order = len(study.table), list(study.tables)[row.orders[place]]
            rows = study.tables[order]
            table = rows.assign(
                dataset=pd.Categorical([study.dataset] * number, datasets),
                model=pd.Categorical([row.name] * number, models),
                popularity=pd.Categorical(rows["popularity"], levels),
                seed=row.seeds[place],
                tie_seed=order,
                rank_native=row.ranks[NATIVE][place],
                rank_masked=row.ranks[MASKED][place],
                rank_among_cold=row.ranks["among_cold"][place],
            )
            part = pa.Table.from_pandas(table, preserve_index=False)
            if writer is None:
                writer = open_files.enter_context(pq.ParquetWriter(draft, part.schema))
            writer.write_table(part)
