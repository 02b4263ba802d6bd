"""The main metric of every row of a comparison in slices of the test rows, with intervals over users and seeds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.rows import Run, TestRows
from recbole_longinterest.experiments.comparison.statistics import Column, interval, user_samples
from recbole_longinterest.experiments.comparison.tested import AMONG_COLD

SMALL = 100  # users; a group with fewer is marked
RESAMPLES = 2_000


@dataclass(frozen=True)
class Group:
    """A group of test rows, and the metric of all rows of the comparison in it.

    Attributes:
        kind: kind of the slice, or "cold".
        name: name of the slice, or the metric of the cold rows.
        rows: number of test rows, averaged over the splits.
        users: number of users, averaged over the splits.
        means: metric of each row of the comparison, [M].
        intervals: 95 % interval of each metric.
    """

    kind: str
    name: str
    rows: int
    users: int
    means: list[float]
    intervals: list[tuple[float, float]]

    @property
    def small(self) -> bool:
        """Whether the group has too few users for conclusions."""
        return self.users < SMALL


Values = Callable[[Run], NDArray[np.float64]]
Mask = Callable[[TestRows], NDArray[np.bool_]]


def groups_of(study: Study, protocol: str) -> list[Group]:
    """All groups of a data set in one protocol.

    Args:
        study: the data set, with finished rows.
        protocol: native or seen-masked.
    """
    return [_group(study, *part) for part in _parts(study, protocol)]


def _parts(study: Study, protocol: str) -> Iterator[tuple[str, str, Mask, Values]]:
    def main(run: Run) -> NDArray[np.float64]:
        return run.values(protocol, study.metric)

    names = {(kind, name): None for split in study.splits for kind, parts in split.slices.items() for name in parts}
    order = list(dict.fromkeys(kind for kind, _ in names))
    for kind, name in sorted(names, key=lambda part: order.index(part[0])):
        yield kind, name, lambda split, kind=kind, name=name: _mask(split, kind, name), main  # type: ignore[misc]
    if not any(split.cold.any() for split in study.splits):
        return
    k = int(study.metric.split("@")[1])
    for text, column in (("among all items", protocol), ("among cold items", AMONG_COLD[protocol])):

        def found(run: Run, column: str = column) -> NDArray[np.float64]:
            return (run.ranks[column] <= k).astype(float)

        yield "cold", f"recall@{k} {text}", lambda split: split.cold, found


def _mask(split: TestRows, kind: str, name: str) -> NDArray[np.bool_]:
    mask = split.slices.get(kind, {}).get(name)
    return np.zeros(len(split.table), dtype=bool) if mask is None else mask


def _group(study: Study, kind: str, name: str, mask: Mask, values: Values) -> Group:
    masks = {id(split): mask(split) for split in study.splits}
    users = {id(split): split.users[masks[id(split)]] for split in study.splits}
    columns: list[Column] = [
        (users[id(run.rows)], values(run)[masks[id(run.rows)]]) for row in study.rows for run in row.runs
    ]
    # Draw only users of the group, because others would not change sums or counts.
    present, number = _renumber(users)
    columns = [
        (present[id(run.rows)], column[1])
        for run, column in zip((run for row in study.rows for run in row.runs), columns, strict=True)
    ]
    drawn = user_samples(columns, number, RESAMPLES, study.seed)
    means, intervals, place = [], [], 0
    for row in study.rows:
        own = slice(place, place + len(row.runs))
        place += len(row.runs)
        whole = [column.mean() if len(column) else np.nan for _, column in columns[own]]
        means.append(float(np.nanmean(whole)) if np.isfinite(whole).any() else float("nan"))
        weights = study.runs(row.keys)[:RESAMPLES]
        intervals.append(interval((drawn[:, own] * weights).sum(axis=1)))
    counts = [int(each.sum()) for each in masks.values()]
    people = [len(np.unique(each)) for each in users.values()]
    return Group(kind, name, round(float(np.mean(counts))), round(float(np.mean(people))), means, intervals)


def _renumber(users: dict[int, NDArray[np.int64]]) -> tuple[dict[int, NDArray[np.int64]], int]:
    """Renumber the occurring users from 0."""
    known, inverse = np.unique(np.concatenate(list(users.values())), return_inverse=True)
    parts = np.split(inverse, np.cumsum([len(each) for each in users.values()])[:-1])
    return dict(zip(users, parts, strict=True)), max(1, len(known))
