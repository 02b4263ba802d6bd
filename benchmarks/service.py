"""The service under load: recommendations and durable events a second, how long they wait, start and memory.

    uv run benchmarks/service.py --output DIR [--postgres postgresql+psycopg://...]

Each server is a process of its own on one core (where the system lets a process choose), with one thread of torch and
random weights, which time does not depend on; the load comes from this process. `recommend` asks for the ten best items
of users with stored events: as fast as answers come from 16 connections, and at 500 a second at random moments, where
waiting counts from the moment when a request was due. `SASRec` is RecBole's at its defaults behind the same
application, which encodes the last 200 events again for each request. `events` are acknowledged after their commit:
single ones on 128 connections, and a hundred a request on 8. `start` is from the start of the process to the answer of
/readyz with all users' events stored, and `after` the first answer; `memory` is what the process has before and after
all users have asked. Figures of one run may be compared with each other and with nothing else.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from common import make_parser, write_csv
from latency import FIELDS, OPTIONS, RECBOLE, SASREC, SPECS, TOP, WINDOW, Catalogue
from load import Measured, closed_loop, get, in_turn, open_loop, post

import recbole_longinterest.service.run as service_run
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.service.logs import set_up_logs
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.schemas import Recommendations, RecommendedItem
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.shop import Wish
from recbole_longinterest.service.store.records import Append, NewEvent
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.serving.model_folder import Items, Served, write_folder
from recbole_longinterest.serving.recommender import Recommender

START = 1_500_000_000.0
OPEN_RATE = 500.0


class SasrecService(Service):
    """The same service, but for its recommendations, which RecBole's SASRec computes from the last events in memory."""

    sasrec: Any = None
    histories: dict[str, torch.Tensor]

    async def recommend(self, user: str, wish: Wish) -> Recommendations:
        """The ten best by SASRec, items of the window left out."""
        window = self.histories.get(user)
        if window is None:
            window = torch.tensor([[int(event.item) for event in self.store.events_of(user)[-WINDOW:]]])
            self.histories[user] = window
        seq = torch.nn.functional.pad(window, (0, WINDOW - window.shape[1]))
        with torch.inference_mode():
            scores = self.sasrec(seq, torch.tensor([window.shape[1]])) @ self.sasrec.item_embedding.weight.T
            scores[:, 0] = -torch.inf
            values, ids = scores.scatter_(1, seq, -torch.inf).topk(wish.k, dim=1)
        names = self.model.served.items.titles
        found = zip(ids[0].tolist(), values[0].tolist(), strict=True)
        items = [RecommendedItem(item=str(i), title=names[i], score=score, strategy="interest") for i, score in found]
        return Recommendations(
            items=items, basis="interest", segment="many", events=window.shape[1], unknown=0, model="SASRec"
        )


def main() -> None:
    """Measure, print a table and write service.csv."""
    if sys.argv[1:2] == ["--be"]:
        be_a_server(*sys.argv[2:])
        return
    parser = make_parser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("service"))
    parser.add_argument("--items", type=int, default=10_000, metavar="N")
    parser.add_argument("--users", type=int, default=100_000, metavar="N", help="with events, for start and memory")
    parser.add_argument("--active", type=int, default=1000, metavar="N", help="users who ask under load")
    parser.add_argument("--events", type=int, default=100, metavar="N", help="of each of them; who asks has 200")
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--postgres", metavar="URL", help="of an empty database, to measure events there too")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="service") as scratch:
        folder = Path(scratch) / "model"
        write_model(folder, args.items)
        rows += recommendations(folder, Path(scratch), args)
        for url in filter(None, [f"sqlite:///{scratch}/events", args.postgres]):
            rows += events(folder, url, args)
        rows += start_and_memory(folder, Path(scratch), args)
    write_csv(args.output / "service.csv", rows)
    for row in rows:
        sys.stdout.write(f"{row['what']:44} {row['value']:>12,.1f} {row['unit']}\n")


def write_model(folder: Path, n_items: int) -> None:
    """An exported model with random weights, whose times are seconds."""
    network = InterestNetwork()
    network.build(OPTIONS, Sources(n_items + 1, events=SPECS))
    tokens = ["[PAD]", *map(str, range(1, n_items + 1))]
    about = {"times": {"first": START - 1e8, "median": START, "last": START + 1e8}}
    served = Served(
        options=OPTIONS,
        weights=network.state_dict(),
        items=Items(tokens, tokens, [[] for _ in tokens], recent=[0, *[1] * n_items]),
        sources=SPECS,
        history_limit=None,
        fields=FIELDS,
        about=about,
    )
    write_folder(served, folder)


def fill(url: str, users: int, each: int, n_items: int) -> None:
    """Store events of users."""
    rng = np.random.default_rng(0)
    with open_store(url) as store:
        for begin in range(0, users, 200):
            new = []
            for user in range(begin, min(users, begin + 200)):
                items = np.minimum(rng.zipf(1.2, each), n_items)
                for place, item in enumerate(items.tolist()):
                    time_ = START + 1000.0 * place
                    new.append(NewEvent(f"u{user}", str(item), 4.0, None, time_, None, None, START, os.urandom(16)))
            store.write([Append(new)])


@contextmanager
def server(kind: str, folder: Path, url: str) -> Iterator[tuple[int, int]]:
    """A server; its port and its process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--be", kind, str(folder), url]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if '"listening"' in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()  # its log, which nobody reads
        yield int(json.loads(line)["url"].rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(120)


def be_a_server(kind: str, folder: str, url: str) -> None:
    """Serve as `recbole-li serve` does, on the first core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    set_up_logs("info")
    model = Recommender.load(folder)
    if kind == "SASRec":
        from recbole.model.sequential_recommender import SASRec

        SasrecService.sasrec = SASRec({**RECBOLE, **SASREC}, Catalogue(model.n_items)).eval()  # type: ignore[arg-type]
        SasrecService.histories = {}
        service_run.Service = SasrecService  # type: ignore[misc]
    service_run.serve(model, url, service_run.Address(port=0), ServiceOptions(rate=0, states=2_000_000))


def recommendations(folder: Path, scratch: Path, args: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Recommendations a second, and their waits."""
    url = f"sqlite:///{scratch}/active"
    fill(url, args.active, WINDOW, args.items)
    ask = in_turn([get(f"/v1/users/u{user}/recommendations?k={TOP}") for user in range(args.active)])
    rows = []
    for kind in ("LongInterest", "SASRec"):
        with server(kind, folder, url) as (port, _):
            closed_loop(port, ask, args.active / 100, 4)  # every user once, so that states are in memory
            rows += rows_of(f"{kind}, as fast as it can", closed_loop(port, ask, args.seconds, 16))
            if kind == "LongInterest":
                rows += rows_of(f"{kind}, at {OPEN_RATE:.0f}/s", open_loop(port, ask, OPEN_RATE, args.seconds))
    return rows


def events(folder: Path, url: str, args: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Events a second that are stored when they are acknowledged."""
    name, rows = url.partition(":")[0].partition("+")[0], []
    number = 0

    def following(size: int) -> bytes:
        nonlocal number
        number += size
        places = range(number, number + size)
        new = [{"user": f"u{n % 5000}", "item": str(n % args.items + 1), "time": START + n} for n in places]
        return post("/v1/events", json.dumps({"events": new}).encode())

    with server("LongInterest", folder, url) as (port, _):
        for size, connections in ((1, 128), (100, 8)):
            measured = closed_loop(port, lambda size=size: following(size), args.seconds, connections)
            rows += rows_of(f"{name}, {size} a request", measured, size, "events")
    return rows


def start_and_memory(folder: Path, scratch: Path, args: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Start with many users stored, and the memory of their states."""
    url = f"sqlite:///{scratch}/many"
    fill(url, args.users, args.events, args.items)
    began = time.perf_counter()
    with server("LongInterest", folder, url) as (port, pid):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/readyz").status_code == 200
            ready = time.perf_counter() - began
            assert client.get("/v1/users/u0/recommendations").status_code == 200
            first = time.perf_counter() - began - ready
        before = resident(pid)
        asking = min(args.users, 10_000)
        ask = iter([get(f"/v1/users/u{user}/recommendations") for user in range(asking)])
        nothing = get("/healthz")
        began = time.perf_counter()
        closed_loop(port, lambda: next(ask, nothing), max(2.0, asking / 150), 8)
        after = resident(pid)
    megabyte = 2**20
    return [
        {"what": f"start, {args.users} users of {args.events} events", "value": ready, "unit": "s"},
        {"what": "its first answer, of a state that is made", "value": 1000 * first, "unit": "ms"},
        {"what": "memory before", "value": before / megabyte, "unit": "MiB"},
        {"what": f"memory of {asking} users' states", "value": (after - before) / megabyte, "unit": "MiB"},
    ]


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def rows_of(what: str, measured: Measured, each: int = 1, unit: str = "requests") -> list[dict[str, Any]]:
    """Rate and waits of a load."""
    assert not measured.errors, f"{what}: {len(measured.errors)} errors, as {measured.errors[0]}"
    return [
        {"what": what, "value": each * measured.rate, "unit": f"{unit}/s"},
        *({"what": f"{what}, p{p}", "value": measured.milliseconds(p), "unit": "ms"} for p in (50, 99)),
    ]


if __name__ == "__main__":
    main()
