"""Analyse finished cells: means, confidence intervals over users and seeds, and differences."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.experiments.comparison import statistics
from recbole_longinterest.experiments.comparison.cell import FINISHED, Cell
from recbole_longinterest.experiments.comparison.driver import Outcome
from recbole_longinterest.experiments.comparison.protocol import NATIVE
from recbole_longinterest.experiments.comparison.rows import APART, Key, Row, TestRows, common_runs, read_rows
from recbole_longinterest.experiments.comparison.variants import OWN
from recbole_longinterest.experiments.comparison.views import TIME, USUAL, About, View, headline

SIGNIFICANT = 0.05
POOLED = ("ml-", "MovieLens")  # data sets with this in their names are pooled, under this name


@dataclass(frozen=True)
class Difference:
    """Difference of a row to the best baseline: means over their common runs, paired by user.

    Attributes:
        name: name of the row.
        relative: difference divided by the baseline's mean.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        p: p value of "no difference", corrected for the number of compared rows.
        runs: number of common runs; with one run, the interval covers users only.
    """

    name: str
    relative: float
    low: float
    high: float
    p: float
    runs: int = 0

    @property
    def verdict(self) -> str:
        """Result: "wins" or "loses" if the interval excludes 0 and the corrected p is below 0.05, else "open"."""
        if self.p >= SIGNIFICANT:
            return "open"
        return "wins" if self.low > 0 else "loses" if self.high < 0 else "open"


class Study:
    """One table of a comparison: a data set, in one order of ties and one split.

    In shapes, M is the number of rows, S that of the runs of a row, and R that of the bootstrap samples.

    Args:
        dataset: name of the data set.
        cells: its cells, in the order of the plan.
        view: order of ties and split.
        about: facts about the data, if known.
        headline: whether it is the main table of its split.
        subject: name of the row that the verdict is about.

    Attributes:
        of: name of the data set.
        dataset: name of the table.
        key: name of the table in file names.
        rows: finished rows.
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
        subject: str = OWN,
    ) -> None:
        self.of, self.dataset, self.key = dataset, view.table(dataset), view.key(dataset)
        self.view, self.about, self.headline, self.subject = view, about, headline, subject
        self.failed: list[tuple[str, str, str]] = []
        self.missing: list[tuple[str, str]] = []
        self._samples: dict[str, list[NDArray[np.float64]]] = {}
        self._weights: dict[tuple[Key, ...], NDArray[np.float64]] = {}
        finished: list[tuple[Cell, dict[str, Any]]] = []
        for cell in cells:
            result = cell.result()
            if result is None:
                self.missing.append((cell.name, cell.run))
            elif result["status"] != FINISHED:
                self.failed.append((cell.name, cell.run, result["error"]))
            else:
                finished.append((cell, result))
        self.rows: list[Row] = read_rows(dataset, finished, subject)

    @property
    def pooled(self) -> bool:
        """Whether the table is pooled with similar data sets."""
        return POOLED[0] in self.dataset and self.headline and self.view.split == USUAL.view.split

    @cached_property
    def splits(self) -> list[TestRows]:
        """The test rows of each split; each tie seed makes its own split."""
        return list({id(run.rows): run.rows for row in self.rows for run in row.runs}.values())

    @property
    def table(self) -> pd.DataFrame:
        """Descriptions of the test rows of the first split; empty without finished rows."""
        return self.splits[0].table if self.splits else pd.DataFrame()

    @cached_property
    def number(self) -> int:
        """Number of users with test rows."""
        return 1 + max(int(split.users.max()) for split in self.splits)

    @cached_property
    def metric(self) -> str:
        """The validation metric that chose the epochs."""
        results = [result for row in self.rows for result in row.results]
        known = [result["validation"]["metric"] for result in results if result.get("validation")]
        return (known[0] if known else "NDCG@10").lower()

    @cached_property
    def ks(self) -> list[int]:
        """Lengths of the recommendation lists."""
        names = self.rows[0].results[0]["metrics"][NATIVE]
        return [int(name.split("@")[1]) for name in names if name.startswith("ndcg@")]

    @cached_property
    def over(self) -> str:
        """What the intervals are over; users alone if no row has several seeds or orders of ties."""
        if any(len(set(row.seeds)) > 1 for row in self.rows if not row.seedless):
            return "users and seeds"
        return "users and orders of ties" if any(len(row.runs) > 1 for row in self.rows) else "users"

    @property
    def seed(self) -> int:
        """Seed of the bootstrap over users, the same in every analysis of this table."""
        return zlib.crc32(self.dataset.encode())

    def runs(self, keys: Sequence[Key]) -> NDArray[np.float64]:
        """Bootstrap weights of runs with these keys, [R, S]; the same for every row with the same keys."""
        if tuple(keys) not in self._weights:
            self._weights[tuple(keys)] = self._draw_runs(keys)
        return self._weights[tuple(keys)]

    def _draw_runs(self, keys: Sequence[Key]) -> NDArray[np.float64]:
        seed = zlib.crc32(repr((self.dataset, sorted(keys, key=repr))).encode())
        order = sorted(range(len(keys)), key=lambda place: repr(keys[place]))
        return statistics.run_weights(len(keys), seed=seed)[:, np.argsort(order)]

    def user_samples(self, protocol: str) -> list[NDArray[np.float64]]:
        """Bootstrap samples over users of the main metric: an array [R, S] per row, with a column for each run."""
        if protocol not in self._samples:
            columns = [(run.rows.users, run.values(protocol, self.metric)) for row in self.rows for run in row.runs]
            drawn = statistics.user_samples(columns, self.number, seed=self.seed)
            ends = np.cumsum([len(row.runs) for row in self.rows])
            self._samples[protocol] = np.split(drawn, ends[:-1], axis=1)
        return self._samples[protocol]

    def samples(self, protocol: str) -> NDArray[np.float64]:
        """Bootstrap samples over users and runs of the main metric's mean, [R, M]."""
        drawn = self.user_samples(protocol)
        return np.stack(
            [(part * self.runs(row.keys)).sum(axis=1) for part, row in zip(drawn, self.rows, strict=True)], axis=1
        )

    def ratios(self, protocol: str, base: int) -> tuple[NDArray[np.float64], NDArray[np.float64], list[int]]:
        """Ratios of the main metric of every row to that of one row, over their common runs.

        Args:
            protocol: native or seen-masked.
            base: index of the row to compare with, whose metric is above 0.

        Returns:
            Ratios of the means, [M]; ratios of the bootstrap samples, [R, M]; and number of common runs of each row.
            Ratios are NaN if the base's metric is 0 or there are no common runs.
        """
        drawn = self.user_samples(protocol)
        samples = np.full((len(drawn[0]), len(self.rows)), np.nan)
        means, common = np.full(len(self.rows), np.nan), []
        for place, row in enumerate(self.rows):
            pairs = common_runs(row, self.rows[base])
            common.append(len(pairs))
            if not pairs:
                continue
            keys, own, others = zip(*pairs, strict=True)
            weights, parts, whole = self.runs(keys), [], []
            for which, chosen in ((place, list(own)), (base, list(others))):
                parts.append((drawn[which][:, chosen] * weights).sum(axis=1))
                whole.append(self.rows[which].means(protocol, self.metric)[chosen].mean())
            means[place] = whole[0] / whole[1] if whole[1] > 0 else np.nan
            samples[:, place] = parts[0] / np.where(parts[1] > 0, parts[1], np.nan)
        return means, samples, common

    def ablations(self, protocol: str) -> list[Difference]:
        """Differences of every ablation, and of ``LongInterest-ID``, to the full model; empty if that has not run."""
        names = [row.name for row in self.rows]
        own = next((name for name in (OWN, OWN + APART) if name in names), None)
        if own is None:
            return []
        chosen = [place for place, row in enumerate(self.rows) if row.kind == "ablation" or row.name == f"{OWN}-ID"]
        whole = names.index(own)
        if not chosen or not self.rows[whole].means(protocol, self.metric).any():
            return []
        places = [*chosen, whole]
        means, drawn, common = self.ratios(protocol, whole)
        return differences_of(
            [names[place] for place in places],
            len(chosen),
            means[places] - 1,
            drawn[:, places] - 1,
            self.number,
            [common[place] for place in places],
        )


def studies_of(outcome: Outcome) -> list[Study]:
    """Collect the finished cells of each table; the main table of each data set and split comes first."""
    studies, views = [], outcome.plan.views
    for dataset in outcome.plan.datasets:
        about = {view: outcome.about[view.table(dataset)] for view in views if view.table(dataset) in outcome.about}
        for view in sorted(views, key=lambda view: (view.split == TIME, not headline(views, view, about))):
            cells = [cell for cell in outcome.cells if cell.dataset == dataset and cell.place.view == view]
            main = headline(views, view, about)
            studies.append(Study(dataset, cells, view, about.get(view), main, outcome.plan.subject))
    return studies


def differences_of(
    names: Sequence[str],
    best: int,
    relative: NDArray[np.float64],
    samples: NDArray[np.float64],
    users: int,
    runs: Sequence[int] = (),
) -> list[Difference]:
    """Differences of all other rows to the best baseline, with corrected p values.

    Args:
        names: names of the rows, [M].
        best: index of the best baseline; -1 if it is not among the rows.
        relative: difference of each row divided by the baseline's mean, [M].
        samples: difference of each bootstrap sample, [R, M]; NaN if undefined.
        users: number of resampled users.
        runs: number of runs behind each difference, [M].
    """
    drawn = {place: samples[~np.isnan(samples[:, place]), place] for place in range(len(names)) if place != best}
    others = [place for place in drawn if len(drawn[place]) and np.isfinite(relative[place])]
    corrected = statistics.holm([statistics.p_value(drawn[place], users) for place in others])
    return [
        Difference(
            names[place],
            float(relative[place]),
            *statistics.interval(drawn[place]),
            p,
            runs[place] if runs else 0,
        )
        for place, p in zip(others, corrected, strict=True)
    ]
