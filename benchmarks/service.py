"""Performance of the service, with target values: rates, latency, durable events, kills, start, memory, a soak test.

    uv run benchmarks/service.py --output DIR [--soak 60]

One run on a quiet machine writes DIR/service.md and DIR/service.csv; it takes about twenty minutes plus the soak test.
Each server runs in its own process on the first core, with one torch thread, the default model options and random
weights, which do not affect times; the load comes from this process on the other cores. Loads with a given rate are
open-loop: requests are due at random times (a Poisson process), independent of responses, and latency counts from the
time when a request was due. `rate` is the highest rate of such a load that the service sustains. `SASRec` is RecBole's
with default settings behind the same application; it encodes the last 200 events again for each request. `events` are
acknowledged after their commit, with fsync on the disk of DIR; PostgreSQL is started there if it is installed. `ready`
is the time from the start of the process to the response of /readyz. Compare figures only within one run.
"""

import itertools
import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from common import make_parser, say, write_csv
from latency import TOP, WINDOW
from load import Measured, closed_loop, get, in_turn, kept_up, once_each, open_loop, post
from postgres import cluster
from service_kills import kill_again_and_again
from service_process import CORES, START, descriptors, fill, resident, server, write_model

AT = 500.0  # requests per second at which latency is measured
SOAK = 300.0  # requests per second of the soak test
EVENTS_SHARE = 0.2  # share of events in mixed loads
QUARTER = 4  # the first 1/QUARTER of a soak test, in which caches fill, does not count for growth


@dataclass(frozen=True)
class Row:
    """A figure of the table.

    Attributes:
        figure: description of the measurement.
        value: measured value.
        unit: unit of the value.
        bar: target value; "" without a target.
        holds: whether the target is met; None without a target.
    """

    figure: str
    value: float
    unit: str
    bar: str = ""
    holds: bool | None = None


def main() -> None:
    """Measure, print the table, and write it."""
    parser = make_parser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("service"))
    parser.add_argument("--items", type=int, default=10_000, metavar="N")
    parser.add_argument("--active", type=int, default=1000, metavar="N", help="users with 200 events in the load")
    parser.add_argument("--users", type=int, default=100_000, metavar="N", help="users with 100 events, for the start")
    parser.add_argument("--million", type=int, default=1_000_000, metavar="N", help="users with states in the store")
    parser.add_argument(
        "--asking", type=int, default=100_000, metavar="N", help="number of these users that send requests"
    )
    parser.add_argument("--seconds", type=float, default=20, help="duration of each load")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--soak", type=float, default=10, metavar="MINUTES")
    parts = {part.__name__: part for part in (recommendations, events, kills, start, memory, soak)}
    parser.add_argument(
        "--parts", nargs="+", choices=parts, default=[*parts], help="parts of the table to measure (default: all)"
    )
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if CORES[1]:
        os.sched_setaffinity(0, CORES[1])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="service", dir=args.output) as scratch:
        folder = Path(scratch) / "model"
        write_model(folder, args.items)
        active = f"sqlite:///{scratch}/active"
        fill(active, args.active, WINDOW, args.items)
        for name in args.parts:
            say(f"{name} ...\n")
            rows += parts[name](folder, Path(scratch), args)
            # After each part, in case the run is stopped.
            write_csv(args.output / "service.csv", [vars(row) for row in rows])
            (args.output / "service.md").write_text(table(rows), encoding="utf-8")
    say(table(rows))


def table(rows: list[Row]) -> str:
    """Render the figures as a table in Markdown."""
    lines = ["| figure | measured | bar | |", "|---|---|---|---|"]
    said = {None: "", True: "holds", False: "does not hold"}
    lines += [f"| {row.figure} | {row.value:,.4g} {row.unit} | {row.bar} | {said[row.holds]} |" for row in rows]
    return "\n".join(lines) + "\n"


def recommendations(folder: Path, scratch: Path, args: Any) -> list[Row]:  # noqa: ANN401
    """Recommendations per second, and their latency."""
    ask = in_turn([get(f"/v1/users/u{user}/recommendations?k={TOP}") for user in range(args.active)])
    rows, rates = [], {}
    for kind in ("LongInterest", "SASRec"):
        with server(kind, folder, f"sqlite:///{scratch}/active") as (port, _):
            closed_loop(port, ask, args.active / 100, 4)  # every user once, to load the states into memory
            most = sound(closed_loop(port, ask, args.seconds, 16)).rate
            rates[kind], measured = kept_up(port, ask, 0.8 * most, args.seconds)
            of = f"{kind}, {args.items:,} items"
            if kind == "LongInterest":
                rows.append(least(f"{of}: recommendations, rate", rates[kind], "a second", 800))
                at = sound(open_loop(port, ask, AT, args.seconds)).milliseconds(99)
                rows.append(below(f"{of}: recommendations at {AT:.0f} a second, p99", at, "ms", 25))
                mixed = sound(open_loop(port, both(ask, args), AT, args.seconds)).milliseconds(99)
                rows.append(Row(f"{of}: the same, a fifth of them events, p99", mixed, "ms"))
            else:
                rows.append(Row(f"{of}: recommendations, rate", rates[kind], "a second"))
            rows.append(Row(f"{of}: at its rate, p99", measured.milliseconds(99), "ms"))
    rows.append(least("rate of LongInterest to that of SASRec", rates["LongInterest"] / rates["SASRec"], "times", 3))
    return rows


def events(folder: Path, scratch: Path, args: Any) -> list[Row]:  # noqa: ANN401
    """Events per second that are durable when acknowledged."""
    rows = []
    with cluster(scratch) as postgres:
        for name, url in (("SQLite", f"sqlite:///{scratch}/events"), ("PostgreSQL", postgres)):
            if url is None:
                say("PostgreSQL is not installed: its events are left out.\n")
                continue
            with server("LongInterest", folder, url) as (port, _):
                for size, connections in ((1, 128), (100, 8)):
                    ask = new_events(size, args.items)
                    most = sound(closed_loop(port, ask, args.seconds, connections)).rate
                    rate, measured = kept_up(port, ask, 0.8 * most, args.seconds)
                    of = f"{name}, {size} events a request"
                    bar = 3000 if (name, size) == ("SQLite", 100) else 0
                    rows.append(least(f"{of}: acknowledged and durable, rate", size * rate, "events a second", bar))
                    rows.append(Row(f"{of}: at its rate, p99", measured.milliseconds(99), "ms"))
    return rows


def kills(folder: Path, scratch: Path, args: Any) -> list[Row]:  # noqa: ANN401
    """Kills with SIGKILL under load."""
    found = kill_again_and_again(folder, f"sqlite:///{scratch}/kills", args.items, args.kills)
    of = f"kill -9 under load, {args.kills} times"
    return [
        Row(f"{of}: acknowledged events", found.acknowledged, "events"),
        Row(f"{of}: of these lost", found.lost, "events", "0", found.lost == 0 and found.acknowledged > 0),
        Row(f"{of}: users compared with the batch forward", found.compared, "users"),
        Row(f"{of}: of these wrong", found.wrong, "users", "0", found.wrong == 0 and found.compared > 0),
    ]


def start(folder: Path, scratch: Path, args: Any) -> list[Row]:  # noqa: ANN401
    """Start time with the events of many users in the store."""
    url, of = f"sqlite:///{scratch}/many", f"{args.users:,} users of 100 events"
    fill(url, args.users, 100, args.items)
    began = time.perf_counter()
    with server("LongInterest", folder, url) as (port, _), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/readyz").status_code == 200
        ready = time.perf_counter() - began
        assert client.get("/v1/users/u0/recommendations").status_code == 200
        first = 1000 * (time.perf_counter() - began - ready)
    return [
        below(f"ready after start, {of}", ready, "s", 5),
        Row("the first answer, of a state that is made", first, "ms"),
    ]


def memory(folder: Path, scratch: Path, args: Any) -> list[Row]:  # noqa: ANN401
    """Memory with states of a million users in the store, while many of them ask."""
    url, users, mebibyte = f"sqlite:///{scratch}/million", args.million, 2**20
    fill(url, users, 10, args.items, folder)
    size = sum(path.stat().st_size for path in scratch.glob("million*"))
    order = np.random.default_rng(1).permutation(users)[: args.asking].tolist()
    paths = [get(f"/v1/users/u{user}/recommendations") for user in order]
    held = max(1, min(20_000, len(paths) // 2))
    with server("LongInterest", folder, url, states=held) as (port, process):
        before = resident(process.pid)
        sound(once_each(port, paths[:held]))
        full = resident(process.pid)
        sound(once_each(port, paths[held:]))
        after = resident(process.pid)
    of = f"{users:,} users with states in the store"
    grown = 100 * (after - full) / full
    return [
        Row(f"{of}: size of the store", size / mebibyte, "MiB"),
        Row(f"{of}: memory of the process after its start", before, "MiB"),
        Row(f"{of}: memory with {held:,} states held", full, "MiB"),
        Row(f"{of}: growth while {len(paths) - held:,} others ask", grown, "%", "flat (< 5)", grown < 5),
    ]


def soak(folder: Path, scratch: Path, args: Any) -> list[Row]:  # noqa: ANN401
    """Soak test: requests and events at a steady rate, with new users all the time."""
    ask = in_turn([get(f"/v1/users/u{user}/recommendations?k={TOP}") for user in range(args.active)])
    with server("LongInterest", folder, f"sqlite:///{scratch}/active") as (port, process), watched(process.pid) as seen:
        measured = sound(open_loop(port, both(ask, args), SOAK, 60 * args.soak))
    of = f"{args.soak:g} minutes at {SOAK:.0f} a second, a fifth of them events"
    later = np.array(seen[len(seen) // QUARTER :])  # seconds, MiB, descriptors
    if len(later) < 3:
        raise SystemExit(f"A soak of {args.soak:g} minutes is too short to see growth. Give --soak 1 or more.")
    slope = np.polyfit(later[:, 0], later[:, 1], 1)[0]
    grown = 100 * slope * (later[-1, 0] - later[0, 0]) / later[0, 1]
    third = max(1, len(later) // 3)
    more = later[-third:, 2].mean() - later[:third, 2].mean()
    return [
        Row(f"{of}: p99", measured.milliseconds(99), "ms"),
        Row(f"{of}: memory, by a line through it", grown, "% more", "no growth (< 3)", bool(grown < 3)),
        Row(f"{of}: descriptors", float(more), "more", "no growth (< 2)", bool(more < 2)),
    ]


@contextmanager
def watched(pid: int) -> Iterator[list[tuple[float, float, int]]]:
    """Sample a process; yields a growing list of seconds, MiB of memory, and number of open descriptors."""
    seen: list[tuple[float, float, int]] = []
    ended, began = threading.Event(), time.perf_counter()

    def look() -> None:
        while not ended.wait(0.5):
            seen.append((time.perf_counter() - began, resident(pid), descriptors(pid)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def new_events(size: int, n_items: int) -> Callable[[], bytes]:
    """A function that returns requests with new events of some users, in time order."""
    numbers = itertools.count()

    def following() -> bytes:
        places = [next(numbers) for _ in range(size)]
        new = [{"user": f"n{n % 5000}", "item": str(n % n_items + 1), "time": START + n} for n in places]
        return post("/v1/events", json.dumps({"events": new}).encode())

    return following


def both(ask: Callable[[], bytes], args: Any) -> Callable[[], bytes]:  # noqa: ANN401
    """A function that returns requests, a fifth of them events of active and of new users."""
    rng, numbers = random.Random(0), itertools.count(int(time.time()))

    def following() -> bytes:
        if rng.random() >= EVENTS_SHARE:
            return ask()
        number = next(numbers)
        user = f"u{rng.randrange(args.active)}" if rng.random() < 0.5 else f"new{number}"
        event = {"user": user, "item": str(rng.randint(1, args.items)), "time": START + number, "rating": 4.0}
        return post("/v1/events", json.dumps(event).encode())

    return following


def sound(measured: Measured) -> Measured:
    """Check that a load had no errors, and return it."""
    if measured.errors:
        raise SystemExit(f"{len(measured.errors):,} requests failed, the first with {measured.errors[0]}")
    return measured


def least(figure: str, value: float, unit: str, bar: float) -> Row:
    """A figure with a minimum as its target; 0 for no target."""
    return Row(figure, value, unit, f">= {bar:,g}" if bar else "", value >= bar if bar else None)


def below(figure: str, value: float, unit: str, bar: float) -> Row:
    """A figure with a maximum as its target."""
    return Row(figure, value, unit, f"< {bar:,g}", value < bar)


if __name__ == "__main__":
    main()
