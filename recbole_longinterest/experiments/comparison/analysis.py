"""Analyse the finished cells: means, intervals, differences to the best baseline, slices."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.ties import RANDOM
from recbole_longinterest.experiments.comparison import statistics
from recbole_longinterest.experiments.comparison.cell import FINISHED, RANKS, Cell, rows_file
from recbole_longinterest.experiments.comparison.driver import Outcome
from recbole_longinterest.experiments.comparison.protocol import metric_of
from recbole_longinterest.experiments.comparison.slices import slices_of
from recbole_longinterest.experiments.comparison.variants import OWN
from recbole_longinterest.experiments.comparison.views import TIME, USUAL, About, View, headline

SIGNIFICANT = 0.05
POOLED = ("ml-", "MovieLens")  # data sets with this in their names are pooled, under this name


@dataclass(frozen=True)
class Row:
    """One row of the comparison on one data set, with all finished seeds.

    Attributes:
        name: name of the row.
        kind: see :class:`~recbole_longinterest.experiments.comparison.variants.Variant`.
        source: origin of its settings.
        seeds: seeds of the finished runs.
        results: ``result.json`` of each.
        ranks: rank of every test row by protocol, of each run, [S, B].
        runs: number of each run; those of one number have the same data in every row.
        orders: place of each run's order of ties among those of the study, int [S].
    """

    name: str
    kind: str
    source: str
    seeds: Sequence[int]
    results: Sequence[dict[str, Any]]
    ranks: dict[str, NDArray[np.float64]]
    runs: Sequence[int]
    orders: NDArray[np.int64]

    def by_run(self, protocol: str, metric: str) -> NDArray[np.float64]:
        """A metric of every test row, of each run, [S, B]."""
        name, _, k = metric.partition("@")
        ranks = self.ranks[protocol]
        return metric_of(name, ranks.ravel(), int(k)).reshape(ranks.shape)

    def values(self, protocol: str, metric: str, runs: Sequence[int] | None = None) -> NDArray[np.float64]:
        """A metric of every test row, mean over the runs (None for all runs of the row), [B]."""
        values = self.by_run(protocol, metric)
        if runs is not None:
            values = values[[place for place, run in enumerate(self.runs) if run in runs]]
        return values.mean(axis=0)

    def mean_of(self, protocol: str, metric: str, mask: NDArray[np.bool_]) -> float:
        """Mean of a metric over a slice, NaN if it is empty; each order of ties has its own targets in it, [T, B]."""
        chosen = self.by_run(protocol, metric)[mask[self.orders]]
        return float(chosen.mean()) if len(chosen) else float("nan")

    def reported(self, protocol: str, metric: str) -> list[float]:
        """A metric of each seed."""
        return [result["metrics"][protocol][metric] for result in self.results]

    def mean(self, name: str) -> float:
        """Mean over the seeds of a number in ``result.json``."""
        values = [result[name] for result in self.results if result.get(name) is not None]
        return float(np.mean(values)) if values else float("nan")


@dataclass(frozen=True)
class Difference:
    """A row compared with the best baseline: means over their common runs, paired by user.

    Attributes:
        name: name of the row.
        relative: difference divided by the baseline's mean.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        p: p value of "no difference", corrected for the number of compared rows.
    """

    name: str
    relative: float
    low: float
    high: float
    p: float

    @property
    def verdict(self) -> str:
        """A win or loss requires that the interval excludes 0 and the corrected p is below 0.05."""
        if self.p >= SIGNIFICANT:
            return "open"
        return "wins" if self.low > 0 else "loses" if self.high < 0 else "open"


class Study:
    """One table of a comparison: a data set, in one order of ties and one split.

    Args:
        dataset: its name.
        cells: its cells, in the order of the plan.
        view: order of ties and split.
        about: what is known of the data; None if nothing is.
        headline: whether it is the table of its split that counts.

    Attributes:
        of: name of the data set.
        dataset: name of the table.
        key: the same for names of files.
        rows: finished rows.
        tables: descriptions of the test rows by seed of the order of ties, see `slices.describe_rows`.
        failed: (name, run, error) of cells that failed.
        missing: (name, run) of cells that have not run.
    """

    def __init__(
        self,
        dataset: str,
        cells: Sequence[Cell],
        view: View = USUAL.view,
        about: About | None = None,
        headline: bool = True,
    ) -> None:
        self.of, self.dataset, self.key = dataset, view.table(dataset), view.key(dataset)
        self.view, self.about, self.headline = view, about, headline
        self.failed: list[tuple[str, str, str]] = []
        self.missing: list[tuple[str, str]] = []
        self.rows: list[Row] = []
        self.tables: dict[int, pd.DataFrame] = {}
        self._samples: dict[str, NDArray[np.float64]] = {}
        by_name: dict[str, list[tuple[Cell, dict[str, Any]]]] = {}
        for cell in cells:
            result = cell.result()
            if result is None:
                self.missing.append((cell.name, cell.run))
            elif result["status"] != FINISHED:
                self.failed.append((cell.name, cell.run, result["error"]))
            else:
                by_name.setdefault(cell.name, []).append((cell, result))
        orders = sorted({cell.place.tie_seed for finished in by_name.values() for cell, _ in finished})
        for name, finished in by_name.items():
            self.rows.append(self._row(name, finished, orders))
        self.tables = {order: self.tables[order] for order in orders}

    @property
    def table(self) -> pd.DataFrame:
        """Descriptions of the test rows, in the first order of ties; user and history are those of every order."""
        return next(iter(self.tables.values()), pd.DataFrame())

    def _row(self, name: str, finished: Sequence[tuple[Cell, dict[str, Any]]], orders: Sequence[int]) -> Row:
        cell = finished[0][0]
        ranks: dict[str, list[NDArray[np.float64]]] = {}
        for each, result in finished:
            order = each.place.tie_seed
            if order not in self.tables:
                file = rows_file(each, result["data"])
                self.tables[order] = pd.read_parquet(file).sort_values(["user", "history"], ignore_index=True)
            table = pd.read_parquet(each.folder / RANKS).sort_values(["user", "history"], ignore_index=True)
            same = table[["user", "history"]].equals(self.table[["user", "history"]])  # paired by user in all orders
            if not same or not table["item"].equals(self.tables[order]["item"]):
                raise LongInterestError(
                    f"The test rows of {each.folder} are not those of {self.dataset}; remove that folder."
                )
            for protocol in ("native", "seen-masked", "among_cold"):
                ranks.setdefault(protocol, []).append(table[protocol].to_numpy())
        return Row(
            name,
            cell.kind,
            cell.source,
            [each.seed for each, _ in finished],
            [result for _, result in finished],
            {protocol: np.stack(values) for protocol, values in ranks.items()},
            [_number(each) for each, _ in finished],
            np.array([orders.index(each.place.tie_seed) for each, _ in finished]),
        )

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """User of each test row, from 0, [B]."""
        return pd.factorize(self.table["user"])[0]

    @property
    def pooled(self) -> bool:
        """Whether it is pooled with similar data sets."""
        return POOLED[0] in self.dataset and self.headline and self.view.split == USUAL.view.split

    @property
    def number(self) -> int:
        """Users of the test rows."""
        return int(self.users.max()) + 1

    @cached_property
    def metric(self) -> str:
        """The validation metric that chose the epochs."""
        return self.rows[0].results[0]["validation"]["metric"].lower()

    @cached_property
    def ks(self) -> list[int]:
        """Lengths of the lists."""
        names = self.rows[0].results[0]["metrics"]["native"]
        return [int(name.split("@")[1]) for name in names if name.startswith("ndcg@")]

    def samples(self, protocol: str) -> NDArray[np.float64]:
        """Bootstrap samples of the main metric's mean, [R, M]."""
        if protocol not in self._samples:
            self._samples[protocol] = self._draw([row.values(protocol, self.metric) for row in self.rows])
        return self._samples[protocol]

    def _draw(self, values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Bootstrap means, [R, M]; the same users every time."""
        return statistics.bootstrap_means(np.stack(values), self.users, seed=zlib.crc32(self.dataset.encode()))

    def ratios(self, protocol: str, base: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ratios of the main metric of every row to that of one row, over their common runs.

        Args:
            protocol: native or seen-masked.
            base: index of the row to compare with, whose metric is above 0.

        Returns:
            Ratios of the means, [M], and of the bootstrap samples, [R, M]; NaN where the base's metric is 0, or no run
            is common.
        """
        drawn, means = self.samples(protocol), []
        samples = np.empty_like(drawn)
        for place, row in enumerate(self.rows):
            runs = [run for run in row.runs if run in self.rows[base].runs]
            if not runs:
                means.append(np.nan)
                samples[:, place] = np.nan
                continue
            if len(runs) == len(row.runs) == len(self.rows[base].runs):
                pair = drawn[:, [place, base]]
                values = [each.values(protocol, self.metric) for each in (row, self.rows[base])]
            else:
                values = [each.values(protocol, self.metric, runs) for each in (row, self.rows[base])]
                pair = self._draw(values)
            mean = values[1].mean()
            means.append(values[0].mean() / mean if mean > 0 else np.nan)
            samples[:, place] = pair[:, 0] / np.where(pair[:, 1] > 0, pair[:, 1], np.nan)
        return np.array(means), samples

    def ablations(self, protocol: str) -> list[Difference]:
        """Every ablation, and the model without side features, against the full model; empty if that has not run."""
        names = [row.name for row in self.rows]
        if OWN not in names:
            return []
        chosen = [place for place, row in enumerate(self.rows) if row.kind == "ablation" or row.name == f"{OWN}-ID"]
        whole = names.index(OWN)
        if not chosen or not self.rows[whole].values(protocol, self.metric).any():
            return []
        places = [*chosen, whole]
        means, drawn = self.ratios(protocol, whole)
        of = [names[place] for place in places]
        return differences_of(of, len(chosen), means[places] - 1, drawn[:, places] - 1, self.number)

    @property
    def cold(self) -> NDArray[np.bool_]:
        """Test rows whose target has no training event, in every order of ties, [T, B]."""
        return np.stack([table["cold"].to_numpy(dtype=bool) for table in self.tables.values()])

    def slices(self) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """Test rows by slice, in every order of ties, [T, B]."""
        found = [slices_of(table) for table in self.tables.values()]
        none = np.zeros(len(self.table), dtype=bool)
        return {
            kind: {
                name: np.stack([slices.get(kind, {}).get(name, none) for slices in found])
                for name in dict.fromkeys(name for slices in found for name in slices.get(kind, {}))
            }
            for kind in (found[0] if found else ())
        }


def _number(cell: Cell) -> int:
    """What pairs a cell's run with those of other rows: its seed; its number where each run has an order of ties."""
    if cell.place.view.ties == RANDOM and cell.place.run is not None:
        return cell.place.run
    return cell.seed


def studies_of(outcome: Outcome) -> list[Study]:
    """Collect the finished cells of each table; of a data set and a split, the table that counts comes first."""
    studies, views = [], outcome.plan.views
    for dataset in outcome.plan.datasets:
        about = {view: outcome.about[view.table(dataset)] for view in views if view.table(dataset) in outcome.about}
        for view in sorted(views, key=lambda view: (view.split == TIME, not headline(views, view, about))):
            cells = [cell for cell in outcome.cells if cell.dataset == dataset and cell.place.view == view]
            studies.append(Study(dataset, cells, view, about.get(view), headline(views, view, about)))
    return studies


def differences_of(
    names: Sequence[str], best: int, relative: NDArray[np.float64], samples: NDArray[np.float64], users: int
) -> list[Difference]:
    """Differences of all other rows to the best baseline, with corrected p values.

    Args:
        names: names of the rows, [M].
        best: index of the best baseline; -1 if it is not among the rows.
        relative: difference of each row divided by the baseline's mean, [M].
        samples: the same of each bootstrap sample, [R, M]; NaN if undefined.
        users: number of resampled users.
    """
    drawn = {place: samples[~np.isnan(samples[:, place]), place] for place in range(len(names)) if place != best}
    others = [place for place in drawn if len(drawn[place]) and np.isfinite(relative[place])]
    corrected = statistics.holm([statistics.p_value(drawn[place], users) for place in others])
    return [
        Difference(names[place], float(relative[place]), *statistics.interval(drawn[place]), p)
        for place, p in zip(others, corrected, strict=True)
    ]
