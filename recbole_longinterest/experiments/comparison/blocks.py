"""All rows of a data set, or of pooled data sets, compared with the best baseline in one protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.experiments.comparison.analysis import POOLED, Difference, Row, Study, differences_of
from recbole_longinterest.experiments.comparison.statistics import interval


@dataclass(frozen=True)
class Block:
    """All rows on one data set in one protocol.

    Attributes:
        dataset: its name, or the name of pooled data sets.
        protocol: native or seen-masked.
        names: names of the rows.
        means: means of the main metric, [M].
        intervals: 95 % interval of each mean over users.
        baseline: the best unmodified RecBole model among those with most seeds; None if no such model finished.
        differences: differences of the other rows to it.
        stronger: RecBole's models with fewer seeds that are better than it over their common seeds.
    """

    dataset: str
    protocol: str
    names: Sequence[str]
    means: Sequence[float]
    intervals: Sequence[tuple[float, float]]
    baseline: str | None
    differences: Sequence[Difference]
    stronger: Sequence[str] = ()


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
        names = [row.name for row in pooled[0][0].rows if all(_has(study, row.name) for study, _, _ in pooled)]
        rows = [row for row in pooled[0][0].rows if row.name in names]
        chosen = [[[row.name for row in study.rows].index(name) for name in names] for study, _, _ in pooled]
        means = np.mean([means[which] for (_, means, _), which in zip(pooled, chosen, strict=True)], axis=0)
        samples = np.mean([drawn[:, which] for (_, _, drawn), which in zip(pooled, chosen, strict=True)], axis=0)
        other = ~(samples == 1).all(axis=0) & ~np.isnan(samples).all(axis=0)  # than the best baseline of every data set
        kept = [row for row, whether in zip(rows, other, strict=True) if whether]
        users = sum(study.number for study, _, _ in pooled)
        blocks.append(_relative_block(POOLED[1], protocol, kept, means[other], samples[:, other], users))
    return blocks


def _has(study: Study, name: str) -> bool:
    return any(row.name == name for row in study.rows)


def _block(study: Study, protocol: str) -> Block:
    rows, samples = study.rows, study.samples(protocol)
    means = np.array([row.values(protocol, study.metric).mean() for row in rows])
    names = [row.name for row in rows]
    intervals = [interval(samples[:, place]) for place in range(len(rows))]
    baselines = [place for place, row in enumerate(rows) if row.kind == "baseline"]
    most = max((len(rows[place].seeds) for place in baselines), default=0)
    baselines = [place for place in baselines if len(rows[place].seeds) == most]  # one lucky seed proves nothing
    if not baselines or means[baselines].max() <= 0:
        return Block(study.dataset, protocol, names, means.tolist(), intervals, None, [])
    best = max(baselines, key=lambda place: means[place])
    relative, drawn = study.ratios(protocol, best)
    differences = differences_of(names, best, relative - 1, drawn - 1, study.number)
    fewer = [place for place, row in enumerate(rows) if row.kind == "baseline" and len(row.seeds) < most]
    stronger = [names[place] for place in fewer if relative[place] > 1]
    return Block(study.dataset, protocol, names, means.tolist(), intervals, names[best], differences, stronger)


def _relative_block(
    dataset: str,
    protocol: str,
    rows: Sequence[Row],
    means: NDArray[np.float64],
    samples: NDArray[np.float64],
    users: int,
) -> Block:
    """Pool data sets: means of the ratios to each data set's own best baseline."""
    names = [row.name for row in rows]
    intervals = [interval(drawn[~np.isnan(drawn)]) for drawn in samples.T]
    differences = differences_of(names, -1, means - 1, samples - 1, users)
    return Block(dataset, protocol, names, means.tolist(), intervals, None, differences)
