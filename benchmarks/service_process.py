"""Servers for the benchmark of the service: a model with random weights, stored events, and a server process."""

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from latency import FIELDS, OPTIONS, RECBOLE, SASREC, SPECS, WINDOW, Catalogue

import recbole_longinterest.service.run as service_run
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.service.logs import set_up_logs
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.schemas import Recommendations, RecommendedItem
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.shop import Wish
from recbole_longinterest.service.store.records import Append, KeptState, NewEvent, SaveStates
from recbole_longinterest.service.store.store import Store, open_store
from recbole_longinterest.serving.model_folder import Items, Served, write_folder
from recbole_longinterest.serving.rebuilt import state_after
from recbole_longinterest.serving.recommender import Recommender

START = 1_500_000_000.0
BATCH = 20_000  # events per commit while a store is filled
PATTERNS = 1000  # number of different histories, which users share


class SasrecService(Service):
    """The service with recommendations from RecBole's SASRec, computed from the last events in memory."""

    sasrec: Any = None
    histories: dict[str, torch.Tensor]

    async def recommend(self, user: str, wish: Wish) -> Recommendations:
        """Recommend the best items by SASRec, without the items of the window."""
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


def write_model(folder: Path, n_items: int) -> None:
    """Write an exported model with default options, and random weights and counts."""
    network = InterestNetwork()
    network.build(replace(OPTIONS, memory=True), Sources(n_items + 1, events=SPECS))
    assert network.memory is not None
    generator = torch.Generator().manual_seed(0)
    shape = network.memory.followers.shape
    network.memory.followers.copy_(torch.randint(1, n_items + 1, shape, generator=generator))
    network.memory.counts.copy_(torch.rand(shape, generator=generator))
    network.memory.support.copy_(torch.rand(n_items + 1, generator=generator) * 5)
    tokens = ["[PAD]", *map(str, range(1, n_items + 1))]
    about = {"times": {"first": START - 1e8, "median": START, "last": START + 1e8}}
    served = Served(
        options=replace(OPTIONS, memory=True),
        weights=network.state_dict(),
        items=Items(tokens, tokens, [[] for _ in tokens], recent=[0, *[1] * n_items]),
        sources=SPECS,
        history_limit=None,
        fields=FIELDS,
        about=about,
    )
    write_folder(served, folder)


def fill(url: str, users: int, each: int, n_items: int, model: Path | None = None) -> None:
    """Store events of users who share a thousand histories; with a model, store their states too."""
    rng = np.random.default_rng(0)
    histories = [np.minimum(rng.zipf(1.2, each), n_items).tolist() for _ in range(PATTERNS)]
    contents = [] if model is None else _states(Recommender.load(model), histories)
    fingerprint = "" if model is None else Recommender.load(model).fingerprint
    together = max(1, BATCH // each)
    with open_store(url) as store:
        for begin in range(0, users, together):
            group = range(begin, min(users, begin + together))
            new = [event for user in group for event in _events(user, histories[user % PATTERNS])]
            appended = store.write([Append(new)])[0]
            if contents:
                last = {user: event.id for user, event in appended.stored}
                _keep(
                    store,
                    [(f"u{user}", last[f"u{user}"], contents[user % PATTERNS]) for user in group],
                    fingerprint,
                    each,
                )


def _events(user: int, items: list[int]) -> list[NewEvent]:
    return [
        NewEvent(f"u{user}", str(item), 4.0, None, START + 1000.0 * place, None, None, START, os.urandom(16))
        for place, item in enumerate(items)
    ]


def _states(model: Recommender, histories: list[list[int]]) -> list[bytes]:
    made = []
    for items in histories:
        events = [
            {"item": str(item), "rating": 4.0, "time": START + 1000.0 * place} for place, item in enumerate(items)
        ]
        state = state_after(model, model.read(events))
        state.user = None
        made.append(state.to_bytes())
    return made


def _keep(store: Store, states: list[tuple[str, int, bytes]], fingerprint: str, each: int) -> None:
    kept = [KeptState(user, fingerprint, last, each, 0, content) for user, last, content in states]
    store.write([SaveStates(kept)])


def cores() -> tuple[set[int], set[int]]:
    """Cores of the server (the first) and of the load (the others); empty sets if a process cannot choose."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


@contextmanager
def server(kind: str, folder: Path, url: str, states: int = 20_000) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Run a server; yields its port and its process."""
    script = Path(__file__).resolve()
    core = ",".join(map(str, CORES[0]))
    command = [sys.executable, str(script), kind, str(folder), url, core, str(states)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = next((line for line in process.stderr if '"listening"' in line), None)
        if line is None:
            raise SystemExit(f"The server ended with code {process.wait()} before it listened.")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # discard its log
        yield int(json.loads(line)["url"].rpartition(":")[2]), process
    finally:
        process.terminate()
        process.wait(120)


CORES = cores()  # before this process changes its own affinity


def be_a_server(kind: str, folder: str, url: str, core: str, states: str) -> None:
    """Serve like `recbole-li serve`, on one core."""
    if core:
        os.sched_setaffinity(0, set(map(int, core.split(","))))
    torch.set_num_threads(1)
    set_up_logs("info")
    model = Recommender.load(folder)
    if kind == "SASRec":
        from recbole.model.sequential_recommender import SASRec

        SasrecService.sasrec = SASRec({**RECBOLE, **SASREC}, Catalogue(model.n_items)).eval()  # type: ignore[arg-type]
        SasrecService.histories = {}
        service_run.Service = SasrecService  # type: ignore[misc]
    service_run.serve(model, url, service_run.Address(port=0), ServiceOptions(rate=0, states=int(states)))


def resident(pid: int) -> float:
    """Resident memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def descriptors(pid: int) -> int:
    """Number of open files and connections of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


if __name__ == "__main__":
    be_a_server(*sys.argv[1:])
