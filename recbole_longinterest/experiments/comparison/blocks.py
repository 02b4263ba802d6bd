"""Compare all rows of a data set, or of pooled data sets, with the best baseline in one protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.experiments.comparison.analysis import POOLED, Difference, Study, differences_of
from recbole_longinterest.experiments.comparison.protocol import NATIVE
from recbole_longinterest.experiments.comparison.rows import Row, full_rows
from recbole_longinterest.experiments.comparison.statistics import interval


@dataclass(frozen=True)
class Block:
    """All rows on one data set in one protocol.

    Attributes:
        dataset: name of the data set, or of the pooled data sets.
        protocol: native or seen-masked.
        names: names of the rows.
        means: means of the main metric, [M].
        intervals: 95 % interval of each mean over users and runs.
        baseline: the best row of another model by validation score; None without validation scores.
        differences: differences of the other rows to the baseline.
        candidates: number of rows that the baseline was chosen from.
        chosen_natively: whether it was chosen by native scores, because cells of earlier versions have no others.
        fewer: rows with a better validation score than the baseline, not chosen because they have fewer seeds or runs.
        unvalidated: rows of other models without a validation score.
        best: the row with the best mean, if it has all runs and every other row loses against it, else None.
    """

    dataset: str
    protocol: str
    names: Sequence[str]
    means: Sequence[float]
    intervals: Sequence[tuple[float, float]]
    baseline: str | None
    differences: Sequence[Difference]
    candidates: int = 0
    chosen_natively: bool = False
    fewer: Sequence[str] = ()
    unvalidated: Sequence[str] = ()
    best: str | None = None

    def difference(self, name: str) -> Difference | None:
        """The difference of a row to the baseline, if it has one."""
        return next((entry for entry in self.differences if entry.name == name), None)


@dataclass(frozen=True)
class Baseline:
    """The choice of the row to compare with.

    Attributes:
        place: index of the baseline among the rows; None if no row qualifies.
        candidates: number of rows that it was chosen from.
        natively: whether it was chosen by native scores.
        fewer: names of rows with a better score but fewer seeds.
        unvalidated: names of rows without a score.
    """

    place: int | None
    candidates: int
    natively: bool
    fewer: Sequence[str]
    unvalidated: Sequence[str]


def best_baseline(rows: Sequence[Row], protocol: str) -> Baseline:
    """Choose the best row of another model by the protocol's validation score, never by test results.

    Candidates are the rows with most seeds, because one lucky seed proves nothing, and deterministic rows. If a
    candidate has only a native score (cells of earlier versions), all are compared by native scores.
    """
    others = [place for place, row in enumerate(rows) if not row.ours and not row.apart]
    unvalidated = [place for place in others if rows[place].validation(NATIVE) is None]
    known = [place for place in others if place not in unvalidated]
    natively = protocol != NATIVE and any(rows[place].validation(protocol) is None for place in known)
    score = {place: rows[place].validation(NATIVE if natively else protocol) or 0.0 for place in known}
    whole = full_rows(rows, known)
    best = max(whole, key=lambda place: score[place], default=None)
    fewer = [] if best is None else [place for place in known if place not in whole and score[place] > score[best]]
    return Baseline(
        best, len(whole), natively, [rows[place].name for place in fewer], [rows[place].name for place in unvalidated]
    )


def blocks_of(studies: Sequence[Study], protocol: str) -> list[Block]:
    """One block for each data set in one protocol, and one for pooled data sets."""
    blocks, pooled = [], []
    for study in studies:
        if not study.rows:
            continue
        block = _block(study, protocol)
        blocks.append(block)
        if study.pooled and block.baseline:
            pooled.append((study, *study.ratios(protocol, list(block.names).index(block.baseline))))
    if len(pooled) > 1:
        names = [
            row.name
            for row in pooled[0][0].rows
            if not row.apart and all(_has(study, row.name) for study, *_ in pooled)
        ]
        chosen = [[[row.name for row in study.rows].index(name) for name in names] for study, *_ in pooled]
        parts = list(zip(pooled, chosen, strict=True))
        means = np.mean([means[which] for (_, means, _, _), which in parts], axis=0)
        samples = np.mean([drawn[:, which] for (_, _, drawn, _), which in parts], axis=0)
        runs = np.min([np.array(common)[which] for (_, _, _, common), which in parts], axis=0)
        other = ~(samples == 1).all(axis=0) & ~np.isnan(samples).all(axis=0)  # not the best baseline of every data set
        kept = [name for name, whether in zip(names, other, strict=True) if whether]
        users = sum(study.number for study, *_ in pooled)
        blocks.append(_relative_block(protocol, kept, means[other], samples[:, other], users, runs[other].tolist()))
    return blocks


def _has(study: Study, name: str) -> bool:
    return any(row.name == name for row in study.rows)


def _block(study: Study, protocol: str) -> Block:
    rows, samples = study.rows, study.samples(protocol)
    means = np.array([row.means(protocol, study.metric).mean() for row in rows])
    names = [row.name for row in rows]
    intervals = [interval(samples[:, place]) for place in range(len(rows))]
    chosen = best_baseline(rows, protocol)
    about = (chosen.candidates, chosen.natively, chosen.fewer, chosen.unvalidated, _clear_best(study, protocol, means))
    base = chosen.place
    if base is None or means[base] <= 0:
        return Block(study.dataset, protocol, names, means.tolist(), intervals, None, [], *about)
    differences = _differences(study, protocol, base)
    return Block(study.dataset, protocol, names, means.tolist(), intervals, names[base], differences, *about)


def _differences(study: Study, protocol: str, base: int) -> list[Difference]:
    """Differences of all other rows to one row; rows that stand apart have none."""
    relative, drawn, runs = study.ratios(protocol, base)
    apart = [row.apart for row in study.rows]
    relative[apart], drawn[:, apart] = np.nan, np.nan
    return differences_of([row.name for row in study.rows], base, relative - 1, drawn - 1, study.number, runs)


def _clear_best(study: Study, protocol: str, means: NDArray[np.float64]) -> str | None:
    """See :attr:`Block.best`. Rows that stand apart do not count."""
    among = [place for place, row in enumerate(study.rows) if not row.apart]
    best = max(among, key=lambda place: means[place], default=None)
    if best is None or means[best] <= 0 or len(among) == 1 or best not in full_rows(study.rows, among):
        return None
    losers = [each.name for each in _differences(study, protocol, best) if each.verdict == "loses"]
    return study.rows[best].name if len(losers) == len(among) - 1 else None


def _relative_block(
    protocol: str,
    names: Sequence[str],
    means: NDArray[np.float64],
    samples: NDArray[np.float64],
    users: int,
    runs: Sequence[int],
) -> Block:
    """Pool data sets: means of the ratios to each data set's own best baseline."""
    intervals = [interval(drawn) for drawn in samples.T]
    differences = differences_of(names, -1, means - 1, samples - 1, users, runs)
    return Block(POOLED[1], protocol, names, means.tolist(), intervals, None, differences)
