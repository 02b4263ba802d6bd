"""Machine-readable results of a comparison: results.csv and per_user.parquet."""

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_longinterest.common.files import atomic_file, write_text
from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.protocol import MASKED, NATIVE, PROTOCOLS
from recbole_longinterest.experiments.comparison.rows import Run
from recbole_longinterest.experiments.comparison.tables import whole
from recbole_longinterest.experiments.comparison.tested import AMONG_COLD


def write_csv(studies: Sequence[Study], path: Path) -> None:
    """Write a line per run, protocol and metric; protocol "validation" has the score that chose the epoch."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    head = ["dataset", "model", "seed", "protocol", "metric", "value", "train_seconds", "peak_memory_mb", "parameters"]
    rows.writerow([*head, "tie_seed"])
    for study in studies:
        for row in study.rows:
            for run in row.runs:
                seconds = run.result.get("train_seconds")
                costs: list[object] = [
                    "" if seconds is None else f"{seconds:.1f}",
                    whole(run.result.get("peak_memory_mb")),
                ]
                costs += [run.result.get("parameters", ""), run.tie_seed]
                for protocol, name, value in _values(run):
                    rows.writerow([study.dataset, row.name, run.seed, protocol, name, value, *costs])
    write_text(path, text.getvalue())


def _values(run: Run) -> Iterator[tuple[str, str, float | None]]:
    """Protocol, metric and value of all results of a run."""
    valid = run.result.get("validation")
    if valid:
        yield "validation", valid["metric"].lower(), valid["score"]
    for name, chosen in (run.result.get("choices") or {}).items():
        if name != NATIVE:
            yield f"validation, {name}", chosen["metric"], chosen["score"]
    for protocol in PROTOCOLS:
        for name, value in run.result["metrics"][protocol].items():
            yield protocol, name, value
    for choice, found in (run.result.get("further") or {}).items():
        for protocol in PROTOCOLS:
            for name, value in found[protocol].items():
                yield f"{protocol}, epoch by {choice}", name, value


def write_per_user(studies: Sequence[Study], path: Path) -> None:
    """Write a line per test row and run with ranks and slices; keeps one run in memory at a time."""
    runs = [(study, row.name, run) for study in studies for row in study.rows for run in row.runs]
    if not runs:
        return
    datasets, models = sorted({study.dataset for study, *_ in runs}), sorted({name for _, name, _ in runs})
    splits = [split for study in studies for split in study.splits]
    levels = sorted({str(level) for split in splits for level in split.table["popularity"].unique()})
    with atomic_file(path) as draft, contextlib.ExitStack() as open_files:
        writer = None
        for study, name, run in runs:
            number = len(run.rows.table)
            table = run.rows.table.assign(
                dataset=pd.Categorical([study.dataset] * number, datasets),
                model=pd.Categorical([name] * number, models),
                popularity=pd.Categorical(run.rows.table["popularity"], levels),
                seed=run.seed,
                tie_seed=run.tie_seed,
                rank_native=run.ranks[NATIVE],
                rank_masked=run.ranks[MASKED],
                rank_among_cold=run.ranks[AMONG_COLD[NATIVE]],
                rank_among_cold_masked=run.ranks[AMONG_COLD[MASKED]],
            )
            part = pa.Table.from_pandas(table, preserve_index=False)
            if writer is None:
                writer = open_files.enter_context(pq.ParquetWriter(draft, part.schema))
            writer.write_table(part)
