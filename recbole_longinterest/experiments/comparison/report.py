"""Write the report of a comparison: results.csv, per_user.parquet, summary.md, summary.html, table.tex and plots."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recbole_longinterest.common.files import write_text
from recbole_longinterest.experiments.comparison import paper_table, plots, tables
from recbole_longinterest.experiments.comparison.analysis import Study, studies_of
from recbole_longinterest.experiments.comparison.blocks import Block, blocks_of
from recbole_longinterest.experiments.comparison.driver import Outcome
from recbole_longinterest.experiments.comparison.exports import write_csv, write_per_user
from recbole_longinterest.experiments.comparison.groups import SMALL, groups_of
from recbole_longinterest.experiments.comparison.orders import about_data, view_parts
from recbole_longinterest.experiments.comparison.origins import how_made, how_to_read
from recbole_longinterest.experiments.comparison.protocol import PROTOCOLS
from recbole_longinterest.experiments.comparison.verdicts import pooled_verdict, remarks, verdict
from recbole_longinterest.experiments.documents import Block as Part
from recbole_longinterest.experiments.documents import Heading, Image, Points, Text, markdown, page


def write_report(outcome: Outcome, output: Path, table_columns: Sequence[str] = paper_table.DEFAULT) -> str:
    """Write the report files of a comparison, finished or not.

    Args:
        outcome: outcome of the comparison.
        output: folder of the comparison.
        table_columns: columns of table.tex.

    Returns:
        The text of summary.md.
    """
    studies = studies_of(outcome)
    write_csv(studies, output / "results.csv")
    blocks = {protocol: blocks_of(studies, protocol) for protocol in PROTOCOLS}
    of = {
        study.dataset: [block for protocol in PROTOCOLS for block in blocks[protocol] if block.dataset == study.dataset]
        for study in studies
    }
    pooled = [block for protocol in PROTOCOLS for block in blocks[protocol][-1:] if block.dataset not in of]
    parts: list[Part] = [Heading("Comparison", 1), *_verdict_parts(studies, of, pooled)]
    parts += view_parts(studies)
    for study in studies:
        parts += _study_parts(study, of[study.dataset], output)
    if pooled:
        parts += _pooled_parts(studies, pooled, output)
    parts += [*how_to_read(studies), *how_made(studies, outcome.same)]
    papers = [paper_table.paper_table(study, of[study.dataset], table_columns) for study in studies if study.rows]
    write_text(output / "table.tex", "\n".join(papers))
    _remove_other_plots(parts, output)
    text = markdown(parts)
    write_text(output / "summary.md", text)
    write_text(output / "summary.html", page(parts, "Comparison"))
    write_per_user(studies, output / "per_user.parquet")
    return text


def _remove_other_plots(parts: Sequence[Part], output: Path) -> None:
    """Remove the plots that the folder's earlier summary shows and this report does not."""
    earlier = output / "summary.md"
    text = earlier.read_text(encoding="utf-8") if earlier.is_file() else ""
    shown = {part.file.name for part in parts if isinstance(part, Image)}
    for name in set(re.findall(r"\]\(((?:means|differences|slices)-[^/()]+\.png)\)", text)) - shown:
        (output / name).unlink(missing_ok=True)


def _verdict_parts(studies: Sequence[Study], of: dict[str, list[Block]], pooled: Sequence[Block]) -> list[Part]:
    parts: list[Part] = [Heading("Verdict")]
    lines = [verdict(study, block) for study in studies if study.headline for block in of[study.dataset]]
    lines += [said for block in pooled if (said := pooled_verdict(block, studies[0].subject)) is not None]
    if lines:
        parts.append(Points(lines))
    missing = [name for study in studies for name in study.missing]
    if missing:
        parts.append(Text(f"{len(missing)} cells have not run yet; run the same command to continue."))
    return parts


def _study_parts(study: Study, blocks: Sequence[Block], output: Path) -> list[Part]:
    parts: list[Part] = [Heading(study.dataset)]
    if study.rows:
        about = study.rows[0].results[0]["data"]
        cold = round(float(np.mean([split.cold.sum() for split in study.splits])))
        parts.append(
            Text(
                f"{about['users']} users, {about['items']} items, {about['interactions']} interactions; "
                f"{about['rows'][0]} training, {about['rows'][1]} validation and {about['rows'][2]} test rows of "
                f"{study.number} users, "
                f"{cold} of them with a target that has no training event; SHA-256 of the split {about['split'][:16]}."
            )
        )
        parts += about_data(study)
    for block in blocks:
        parts += [Heading(f"{study.dataset}, {block.protocol}", 3), tables.main_table(study, block)]
        parts += [Text(line) for line in remarks(study, block)]
    if blocks:
        name = output / f"means-{study.key}.png"
        plots.plot_means(blocks, study.metric, study.over, name)
        parts.append(Image(name, f"{study.metric} of every model on {study.dataset}"))
        if any(block.differences for block in blocks):
            name = output / f"differences-{study.key}.png"
            plots.plot_differences([block for block in blocks if block.differences], name)
            parts.append(Image(name, f"differences to the best baseline on {study.dataset}"))
        parts += _detail_parts(study, output)
    if study.failed:
        parts += [Heading(f"{study.dataset}: could not run", 3)]
        parts.append(Points([f"{name}, {run}: {error}" for name, run, error in study.failed]))
        parts.append(Text("Each run's log.txt, in its folder below cells/, has the traceback."))
    return parts


def _detail_parts(study: Study, output: Path) -> list[Part]:
    """Ablations, slices, properties of the lists, and costs."""
    parts: list[Part] = []
    ablations = [table for protocol in PROTOCOLS if (table := tables.ablation_table(study, protocol)) is not None]
    if ablations:
        parts += [Heading(f"{study.dataset}: ablations", 3), *ablations]
    parts += [Heading(f"{study.dataset}: slices", 3)]
    parts.append(
        Text(
            f"± is half the width of the 95 % interval over {study.over}, without a correction for the number of "
            f"slices. † and grey: fewer than {SMALL} users, too few for conclusions. The plots show "
            f"{study.subject} and the rows with the best means over both protocols, at most {plots.SHOWN}; rows with "
            "fewer seeds come last."
        )
    )
    for protocol in PROTOCOLS:
        groups = groups_of(study, protocol)
        name = output / f"slices-{study.key}-{protocol}.png"
        plots.plot_slices(study, groups, protocol, name)
        parts += [tables.slice_table(study, groups, protocol), Image(name, f"slices of {study.dataset}, {protocol}")]
    parts += [Heading(f"{study.dataset}: beyond accuracy", 3)]
    parts.append(Text("± is 1.96 standard errors over users (jackknife) and seeds."))
    parts += [tables.beyond_table(study, protocol) for protocol in PROTOCOLS]
    return [*parts, Heading(f"{study.dataset}: costs", 3), tables.cost_table(study)]


def _pooled_parts(studies: Sequence[Study], blocks: Sequence[Block], output: Path) -> list[Part]:
    parts: list[Part] = [Heading(f"{blocks[0].dataset}, pooled")]
    names = ", ".join(study.dataset for study in studies if study.pooled)
    parts.append(Text(f"Mean over {names} of the ratio to each data set's best baseline; users are resampled in each."))
    parts += [tables.pooled_table(block) for block in blocks]
    name = output / "differences-pooled.png"
    plots.plot_differences(blocks, name)
    return [*parts, Image(name, "pooled differences to the best baseline")]
