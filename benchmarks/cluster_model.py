"""The simulation of `scaling.py`: the time of a training step on N workers, computed from measured constants.

A worker computes for ``fixed + each x targets`` seconds, then the workers exchange bytes. Nothing overlaps, so the
times are upper bounds. Two ways of exchange:

- ``ring``: every worker has the whole model, and all gradients go through a ring all-reduce (Patarasuk & Yuan 2009).
- ``sharded``: every worker has a part of the item table's rows. It asks the others for the rows of its targets and of
  its candidates (sampled softmax), and sends their gradients back (all-to-all). Only the rest of the model goes
  through the ring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WORKERS = tuple(2**power for power in range(11))  # 1 to 1024
ENOUGH = 0.5  # efficiency below which more workers do not pay
WAYS = ("ring", "sharded")
BATCHES = ("shared", "of each worker")
ID, NUMBER = 8, 4  # bytes of an item id, and of a float32


class Line(NamedTuple):
    """A time that grows linearly with an amount: ``fixed + each x amount``.

    Attributes:
        fixed: seconds at amount 0.
        each: seconds per unit.
    """

    fixed: float
    each: float

    def at(self, amount: float) -> float:
        """Seconds for an amount."""
        return self.fixed + self.each * amount


def fit(amounts: Sequence[float], seconds: Sequence[float]) -> Line:
    """Fit a line by least squares of the relative errors, so that small amounts count, too; ``fixed`` is at least 0."""
    x, y = np.asarray(amounts, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    each, fixed = np.polyfit(x, y, 1, w=1 / y)
    if fixed < 0:
        return Line(0.0, float(np.sum(x / y) / np.sum((x / y) ** 2)))
    return Line(float(fixed), float(each))


@dataclass(frozen=True)
class Network:
    """A network between workers.

    Attributes:
        latency: seconds of an empty message.
        bandwidth: bytes per second of a worker, in each direction.
    """

    latency: float
    bandwidth: float

    @classmethod
    def of_two(cls, reduced: Line) -> "Network":
        """Derive the network from all-reduce times of two processes: ``2 latency + bytes / bandwidth``."""
        return cls(reduced.fixed / 2, 1 / reduced.each)

    def ring(self, workers: int, size: float) -> float:
        """Seconds of a ring all-reduce: ``2 (N - 1)`` messages of ``size / N`` bytes."""
        return 2 * (workers - 1) * (self.latency + size / workers / self.bandwidth)

    def all_to_all(self, workers: int, size: float) -> float:
        """Seconds of an all-to-all: each worker sends ``size`` bytes, in messages of ``size / N`` to every other."""
        return (workers - 1) * (self.latency + size / workers / self.bandwidth)


@dataclass(frozen=True)
class Model:
    """A model and the measured times of its step.

    Attributes:
        steps: seconds of a step by its number of targets, for each way of exchange.
        dense: bytes of all gradients except those of the item table.
        items: rows of the item table.
        dim: numbers per row.
        candidates: candidates that a worker draws per step, if the table is sharded.
    """

    steps: dict[str, Line]
    dense: float
    items: int
    dim: int
    candidates: int

    @property
    def table(self) -> float:
        """Bytes of the item table."""
        return self.items * self.dim * NUMBER

    def rows(self, targets: float) -> float:
        """Number of rows that a worker requests per step: its targets, assumed distinct, and its candidates."""
        return targets + self.candidates

    def sent(self, way: str, workers: int, targets: float, network: Network) -> float:
        """Seconds of the exchange in a step.

        Args:
            way: one of :data:`WAYS`.
            workers: number of workers, ``N``.
            targets: targets of one worker.
            network: the network between the workers.
        """
        if way == "ring":
            return network.ring(workers, self.dense + self.table)
        rows = self.rows(targets)
        there_and_back = 2 * network.all_to_all(workers, rows * self.dim * NUMBER)
        return network.ring(workers, self.dense) + network.all_to_all(workers, rows * ID) + there_and_back


def simulate(model: Model, network: Network, batch: int) -> list[dict[str, object]]:
    """Simulate a step for every number of workers.

    Args:
        model: the model.
        network: the network between the workers.
        batch: targets per step, simulated twice: shared by all workers (as in `recbole-li run`), and for each worker.

    Returns:
        A row for each way, kind of batch and number of workers: seconds of computing and exchange, targets per second,
        and efficiency (the rate divided by N times the rate of one worker).
    """
    out: list[dict[str, object]] = []
    for way in WAYS:
        for kind in BATCHES:
            one = batch / model.steps[way].at(batch)
            for workers in WORKERS:
                targets = batch / workers if kind == BATCHES[0] else batch
                step, sent = model.steps[way].at(targets), model.sent(way, workers, targets, network)
                rate = workers * targets / (step + sent)
                out.append(
                    {
                        "way": way,
                        "batch": kind,
                        "workers": workers,
                        "step_seconds": step,
                        "exchange_seconds": sent,
                        "targets_a_second": rate,
                        "efficiency": rate / (workers * one),
                    }
                )
    return out


def stops_at(rows: Sequence[dict[str, object]], way: str, kind: str) -> int | None:
    """Smallest simulated number of workers with an efficiency below :data:`ENOUGH`; None if all are above."""
    found = [row for row in rows if (row["way"], row["batch"]) == (way, kind)]
    return next((int(str(row["workers"])) for row in found if float(str(row["efficiency"])) < ENOUGH), None)


# --- the plan --------------------------------------------------------------------------------------------------------

EVENTS, USERS, ITEMS = 10**9, 10**8, 10**7
MANY, BATCH, CANDIDATES = 64, 8192, 4096  # workers; targets and candidates of each
COPIES = 4  # copies of every weight: itself, two of Adam, the average; only the rows of a step have gradients
EVENT = 20  # bytes: item and row 4 each, rating 4, time 8
HIDDEN, LAST, FOLLOWERS = 128, 10, 100  # defaults of LongInterest; a follower has 10 bytes
STATE = 2 * HIDDEN * NUMBER + (2 + HIDDEN) * 8 + LAST * ID  # LSTM, sums of the attention, last items


def plan(model: Model, network: Network) -> list[tuple[str, str, str]]:
    """Compute the plan of `docs/scaling.md` for 1e9 events, 1e8 users and 1e7 items: (what, formula, number) per row.

    Args:
        model: the measured model; the plan replaces its catalogue.
        network: the network between the workers.
    """
    large = Model(model.steps, model.dense, ITEMS, model.dim, CANDIDATES)
    row = model.dim * NUMBER
    rows = large.rows(BATCH)
    line, others = large.steps["sharded"], MANY - 1
    step, sent = line.at(BATCH), large.sent("sharded", MANY, BATCH, network)
    steps = EVENTS / (MANY * BATCH)
    whole = large.sent("ring", MANY, BATCH, network)
    shard = COPIES * large.table / MANY
    log, states, memory = EVENTS * EVENT / MANY, USERS * STATE / MANY, ITEMS * FOLLOWERS * 10 / MANY
    texts = large.table / MANY
    share = BATCH * MANY / (step + sent)
    return [
        ("item table", f"1e7 x {model.dim} x {NUMBER} bytes", _size(large.table)),
        (
            f"its rows on a worker, {COPIES} copies (weight, Adam's two, average)",
            f"{COPIES} x table / {MANY}",
            _size(shard),
        ),
        ("text vectors on a worker", f"1e7 x {model.dim} x {NUMBER} bytes / {MANY}", _size(texts)),
        ("memory of transitions on a worker", f"1e7 x {FOLLOWERS} x 10 bytes / {MANY}", _size(memory)),
        ("events on a worker", f"1e9 x {EVENT} bytes / {MANY}", _size(log)),
        ("users' states on a worker, when serving", f"1e8 x {STATE:,} bytes / {MANY}", _size(states)),
        (
            "**memory of a worker in training**",
            "table + texts + transitions + events",
            _size(shard + texts + memory + log),
        ),
        ("rows that a worker requests per step", f"{BATCH:,} targets + {CANDIDATES:,} candidates", f"{rows:,.0f}"),
        ("latency and bandwidth", "given", f"{network.latency * 1e6:g} us, {network.bandwidth / 1e9:g} GB/s"),
        (
            "bytes that a worker sends per step",
            f"rows x (2 x {row} + {ID}) bytes + 2 x rest of the model",
            _size(_bytes(large)),
        ),
        ("exchange per step", f"5 x {others} x latency + sent x {others} / {MANY} / bandwidth", f"{sent:.3f} s"),
        (
            "exchange with the whole table in the ring",
            f"2 x {others} x latency + 2 x (table + rest) x {others} / {MANY} / bandwidth",
            f"{whole:.2f} s",
        ),
        (
            "computing per step, on one core",
            f"{line.fixed * 1e3:.1f} ms + {BATCH:,} x {line.each * 1e6:.1f} us, as measured",
            f"{line.at(BATCH):.3f} s",
        ),
        ("steps per epoch", f"1e9 / ({MANY} x {BATCH:,})", f"{steps:,.0f}"),
        ("**an epoch**", "steps x (computing + exchange)", f"{steps * (step + sent) / 3600:.2f} h"),
        ("core hours per epoch", f"{MANY} x hours", f"{MANY * steps * (step + sent) / 3600:,.0f}"),
        ("efficiency", "computing / (computing + exchange)", f"{step / (step + sent):.0%}"),
        ("targets per second", f"{MANY} x {BATCH:,} / (computing + exchange)", f"{share:,.0f}"),
    ]


def _bytes(model: Model) -> float:
    return model.rows(BATCH) * (2 * model.dim * NUMBER + ID) + 2 * model.dense


def _size(number: float) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
