"""Read the finished runs of a comparison as rows, with per-user ranks of every run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.ties import RANDOM
from recbole_longinterest.experiments.comparison.cell import RANKS, Cell, rows_file
from recbole_longinterest.experiments.comparison.protocol import MASKED, NATIVE, PROTOCOLS, metric_of
from recbole_longinterest.experiments.comparison.seedless import is_computed
from recbole_longinterest.experiments.comparison.slices import slices_of
from recbole_longinterest.experiments.comparison.tested import AMONG_COLD
from recbole_longinterest.experiments.comparison.variants import LISTS, OWN

APART = " (request time)"  # suffix of rows that use the time of the request and are not compared with others

Key = tuple[object, ...]
"""Runs of two rows are paired if their keys are equal."""


@dataclass(frozen=True)
class TestRows:
    """The test rows of one split.

    Attributes:
        table: descriptions of the rows, see `slices.describe_rows`.
        users: user of each row, numbered over all splits of the study, [B].
    """

    __test__ = False  # for pytest

    table: pd.DataFrame
    users: NDArray[np.int64]

    @cached_property
    def slices(self) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """Kind of slice -> name of the slice -> whether a row is in it, [B]."""
        return slices_of(self.table)

    @cached_property
    def cold(self) -> NDArray[np.bool_]:
        """Whether the target of a row has no training events, [B]."""
        return self.table["cold"].to_numpy(dtype=bool)


@dataclass(frozen=True)
class Run:
    """One finished training, or one file of external lists.

    Attributes:
        key: runs of two rows with the same key are paired.
        seed: seed of the training.
        tie_seed: seed of the order of ties.
        result: content of ``result.json``.
        rows: the test rows.
        ranks: column of the ranks file -> rank of every test row, [B].
    """

    key: Key
    seed: int
    tie_seed: int
    result: dict[str, Any]
    rows: TestRows
    ranks: dict[str, NDArray[np.float64]]

    def values(self, protocol: str, metric: str) -> NDArray[np.float64]:
        """A metric of every test row, [B]."""
        name, _, k = metric.partition("@")
        return metric_of(name, self.ranks[protocol], int(k))

    def validation(self, protocol: str) -> float | None:
        """The validation score that chose the epoch in a protocol; None if unknown."""
        chosen = (self.result.get("choices") or {}).get(protocol)
        if chosen is not None:
            return chosen["score"]
        return (self.result.get("validation") or {}).get("score") if protocol == NATIVE else None


@dataclass(frozen=True)
class Row:
    """One row of the comparison on one data set, with all finished runs.

    Attributes:
        name: name of the row.
        kind: see :class:`~recbole_longinterest.experiments.comparison.variants.Variant`.
        source: origin of its settings.
        runs: its runs.
        seedless: whether its results do not depend on the seed; it then has one run for each order of ties.
        apart: whether it uses the time of the request, which is the target's time, while other rows do not. It has the
            suffix ``APART``, and is not compared with them.
        ours: whether it is the subject of the comparison, or one of its ablations or variants; never the baseline.
    """

    name: str
    kind: str
    source: str
    runs: Sequence[Run]
    seedless: bool = False
    apart: bool = False
    ours: bool = False

    @property
    def seeds(self) -> list[int]:
        """Seeds of the runs."""
        return [run.seed for run in self.runs]

    @property
    def said_seeds(self) -> str:
        """Number of seeds and orders of ties, in words."""
        if not self.seedless:
            return said_runs(len(set(self.seeds)), len(self.runs))
        return "no seed" if len(self.orders) == 1 else f"no seed, {len(self.orders)} orders"

    @property
    def orders(self) -> set[int]:
        """Tie seeds of the runs."""
        return {run.tie_seed for run in self.runs}

    @property
    def results(self) -> list[dict[str, Any]]:
        """``result.json`` of each run."""
        return [run.result for run in self.runs]

    @property
    def keys(self) -> list[Key]:
        """Keys of the runs."""
        return [run.key for run in self.runs]

    @property
    def chose_natively(self) -> bool:
        """Whether a run of an earlier version chose its epoch only by the native protocol."""
        return any(run.validation(NATIVE) is not None and run.validation(MASKED) is None for run in self.runs)

    def means(self, protocol: str, metric: str) -> NDArray[np.float64]:
        """Mean of a metric over the test rows of each run, [S]."""
        return np.array([run.values(protocol, metric).mean() for run in self.runs])

    def validation(self, protocol: str) -> float | None:
        """Mean of the validation score in a protocol over the runs; None if it is unknown for a run."""
        scores = [run.validation(protocol) for run in self.runs]
        return None if None in scores else float(np.mean([score for score in scores if score is not None]))

    def reported(self, protocol: str, metric: str) -> list[float]:
        """A metric from each run's ``result.json``; NaN if it is missing."""
        return [result["metrics"][protocol].get(metric, float("nan")) for result in self.results]

    def error(self, protocol: str, metric: str) -> float:
        """Standard error of the mean of a list property: over users (as for one run) and over runs."""
        errors = [(result.get("errors") or {}).get(protocol, {}).get(metric, float("nan")) for result in self.results]
        values = self.reported(protocol, metric)
        between = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
        return float(np.sqrt(np.mean(np.square(errors)) + between))

    def mean(self, name: str) -> float:
        """Mean of a number in ``result.json`` over the runs; NaN if no run has it."""
        values = [result[name] for result in self.results if result.get(name) is not None]
        return float(np.mean(values)) if values else float("nan")


def said_runs(seeds: int, runs: int) -> str:
    """Number of seeds and runs, in words.

    Args:
        seeds: number of seeds.
        runs: number of runs; larger than ``seeds`` if a seed has several orders of ties.
    """
    text = "1 seed" if seeds == 1 else f"{seeds} seeds"
    return text if runs == seeds else f"{text}, {runs} runs"


def common_runs(row: Row, base: Row) -> list[tuple[Key, int, int]]:
    """Pair the runs of two rows with equal keys.

    A deterministic row has one run in each order of ties, which is paired with all runs in that order.

    Returns:
        For each pair, its key and the index of the run in each row.
    """
    if not row.seedless and not base.seedless:
        return [(key, row.keys.index(key), base.keys.index(key)) for key in row.keys if key in base.keys]
    seeded, other = (row, base) if base.seedless else (base, row)
    first = {run.tie_seed: place for place, run in reversed(list(enumerate(other.runs)))}
    pairs = [(run.key, place, first[run.tie_seed]) for place, run in enumerate(seeded.runs) if run.tie_seed in first]
    return pairs if seeded is row else [(key, there, here) for key, here, there in pairs]


def full_rows(rows: Sequence[Row], among: Sequence[int]) -> list[int]:
    """Find the rows with most seeds and runs, and the deterministic rows with runs in every order of ties.

    Args:
        rows: rows of a table.
        among: indices of the rows to choose from.

    Returns:
        Their indices.
    """
    orders = set().union(*(row.orders for row in rows))
    amount = {place: (len(set(rows[place].seeds)), len(rows[place].runs)) for place in among}
    most = max((amount[place] for place in among if not rows[place].seedless), default=None)
    return [
        place for place in among if (rows[place].orders >= orders if rows[place].seedless else amount[place] == most)
    ]


def key_of(cell: Cell) -> Key:
    """Key of a cell's run: its seed, or its number if each run has its own order of ties."""
    if cell.place.view.ties == RANDOM and cell.place.run is not None:
        return (cell.place.run,)
    return (cell.seed,)


def read_rows(dataset: str, finished: Sequence[tuple[Cell, dict[str, Any]]], subject: str = OWN) -> list[Row]:
    """Read the ranks of finished cells.

    Args:
        dataset: name of the data set.
        finished: cells and their results.
        subject: name of the row that the comparison is about.

    Returns:
        The rows, in the order of the cells; runs of one split share their :class:`TestRows`. If protocols have separate
        trainings, a run with only one of them finished is left out.

    Raises:
        LongInterestError: if the ranks belong to other test rows than those of the split.
    """
    columns = ["user", "history", "item"]
    tables: dict[str, pd.DataFrame] = {}
    for cell, result in finished:
        file = str(rows_file(cell, result["data"]))
        if file not in tables:
            tables[file] = pd.read_parquet(file).sort_values(["user", "history"], ignore_index=True)
    names = pd.Index(sorted({user for table in tables.values() for user in table["user"].unique()}))
    splits = {file: TestRows(table, names.get_indexer(table["user"])) for file, table in tables.items()}
    runs: dict[str, list[Run]] = {}
    first: dict[str, Cell] = {}
    halves: dict[tuple[str, Key], dict[str, Run]] = {}  # runs of rows with separate settings for each protocol
    for cell, result in finished:
        rows = splits[str(rows_file(cell, result["data"]))]
        table = pd.read_parquet(cell.folder / RANKS).sort_values(["user", "history"], ignore_index=True)
        if not table[columns].equals(rows.table[columns]):
            raise LongInterestError(f"The test rows of {cell.folder} are not those of {dataset}; remove that folder.")
        ranks = {
            name: table[name].to_numpy(dtype=float) for name in (*PROTOCOLS, *AMONG_COLD.values()) if name in table
        }
        ranks.setdefault(AMONG_COLD[MASKED], ranks[AMONG_COLD[NATIVE]])  # earlier versions have one column
        first.setdefault(cell.name, cell)
        run = Run(key_of(cell), cell.seed, cell.place.tie_seed, result, rows, ranks)
        if cell.protocol:
            half = halves.setdefault((cell.name, run.key), {})
            half[cell.protocol] = run
            if len(half) < len(PROTOCOLS):
                continue
            run = _joined(half)
        runs.setdefault(cell.name, []).append(run)
    own = OWN if subject == OWN else None
    if subject in runs and first[subject].kind != LISTS:
        own = runs[subject][0].result["model"]
    made = [
        Row(
            name,
            first[name].kind,
            first[name].source,
            found,
            _seedless(first[name], found),
            ours=name == subject
            or first[name].kind == "ablation"
            or (first[name].kind != LISTS and found[0].result["model"] == own),
        )
        for name, found in runs.items()
    ]
    if all(map(_reads_request, made)):  # all rows use it, so they are comparable
        return made
    return [replace(row, name=row.name + APART, apart=True) if _reads_request(row) else row for row in made]


def _reads_request(row: Row) -> bool:
    """Whether a row's models use the time of the request."""
    return any(result.get("request_time") for result in row.results)


def _joined(half: dict[str, Run]) -> Run:
    """Join the separate trainings of the two protocols into one run, with time and memory of the native one."""
    native, masked = half[NATIVE], half[MASKED]
    of_masked = (MASKED, AMONG_COLD[MASKED])
    ranks = {name: (masked if name in of_masked else native).ranks[name] for name in native.ranks}
    result = dict(native.result)
    for name in ("metrics", "errors", "choices"):
        if native.result.get(name) and masked.result.get(name):
            result[name] = {**native.result[name], MASKED: masked.result[name][MASKED]}
    return replace(native, result=result, ranks=ranks)


def _seedless(cell: Cell, runs: Sequence[Run]) -> bool:
    drawn = any(run.result.get("candidates") is not None for run in runs)
    return not drawn and (cell.kind == LISTS or is_computed(cell.model))
