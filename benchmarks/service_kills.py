"""Kill a server under load repeatedly, and count lost acknowledged events and wrong states."""

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from service_process import START, server

from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender

CLIENTS, USERS, COMPARED = 4, 25, 50
PATIENCE = 60.0  # seconds to wait until every client has a response before the kill


@dataclass
class Found:
    """Results of the kills.

    Attributes:
        acknowledged: number of acknowledged events.
        lost: number of these that were lost after a kill.
        compared: number of users whose recommendations were compared with the batch computation.
        wrong: number of these with different items or scores.
    """

    acknowledged: int = 0
    lost: int = 0
    compared: int = 0
    wrong: int = 0


@dataclass
class Client(threading.Thread):
    """A client that sends events of its own users, in random time order, until the server is gone."""

    url: str
    seed: int
    n_items: int
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    open: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the thread."""
        super().__init__(daemon=True)
        self.random = random.Random(self.seed)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Send events, and sometimes ask for recommendations."""
        with httpx.Client(timeout=60, base_url=self.url) as client:
            while True:
                self.open = [self.event() for _ in range(self.random.randint(1, 8))]
                try:
                    if self.random.random() < 0.3:
                        client.get(f"/v1/users/{self.open[0]['user']}/recommendations")
                    answer = client.post("/v1/events", json={"events": self.open})
                except httpx.HTTPError:
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged += self.open
                self.open = []

    def event(self) -> dict[str, Any]:
        """A random event."""
        return {
            "user": f"c{self.seed % CLIENTS}u{self.random.randrange(USERS)}",
            "item": str(self.random.randint(1, self.n_items)),
            "rating": float(self.random.randint(1, 5)),
            "time": START + self.random.randrange(10**7),
            "id": str(self.random.getrandbits(60)),
        }


def kill_again_and_again(folder: Path, url: str, n_items: int, kills: int, seconds: float = 1.0) -> Found:
    """Kill a server under load repeatedly, and check the data of the next server.

    Args:
        folder: folder of the model.
        url: URL of an empty store.
        n_items: number of items of the model.
        kills: number of kills.
        seconds: mean duration of the load before each kill.
    """
    model, found, known = Recommender.load(folder), Found(), dict[str, list[dict[str, Any]]]()
    for turn in range(kills):
        with server("LongInterest", folder, url, states=20) as (port, process):
            address = f"http://127.0.0.1:{port}"
            clients = [Client(address, turn * CLIENTS + number, n_items) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            time.sleep(seconds * (0.5 + random.random()))
            end = time.monotonic() + PATIENCE
            while not all(client.acknowledged for client in clients) and time.monotonic() < end:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            for client in clients:
                client.join(60)
        for event in (event for client in clients for event in client.acknowledged):
            known.setdefault(event["user"], []).append(event)
            found.acknowledged += 1
        unsure = [event for client in clients for event in client.open]
        with server("LongInterest", folder, url) as (port, process), httpx.Client(timeout=60) as asking:
            compare(asking, f"http://127.0.0.1:{port}", model, known, unsure, found)
    return found


def compare(
    asking: httpx.Client,
    address: str,
    model: Recommender,
    known: dict[str, list[dict[str, Any]]],
    unsure: list[dict[str, Any]],
    found: Found,
) -> None:
    """Count lost events, resend unacknowledged events, and compare users with the batch computation."""
    more = Counter(event["user"] for event in unsure)
    for user, events in known.items():
        stored = asking.get(f"{address}/v1/users/{user}").json().get("events", 0)
        found.lost += max(0, len(events) - stored)
        assert stored <= len(events) + more[user]
    if unsure:  # each has an id, so duplicates are not stored
        assert asking.post(f"{address}/v1/events", json={"events": unsure}).status_code == 200
        for event in unsure:
            known.setdefault(event["user"], []).append(event)
    for user in random.sample(sorted(known), min(COMPARED, len(known))):
        history = [Event(each["item"], each["rating"], None, each["time"]) for each in known[user]]
        wanted = model.recommend(history, 10).items
        got = asking.get(f"{address}/v1/users/{user}/recommendations?k=10").json()["items"]
        alike = [item["item"] for item in got] == [item.item for item in wanted]
        scores = [item["score"] for item in got], [item.score for item in wanted]
        found.compared += 1
        found.wrong += not (alike and np.allclose(*scores, rtol=1e-4, atol=1e-4))
