"""Clients that send events while servers die, and know what was acknowledged."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from tests.service.conftest import START

PATIENCE = 900.0  # seconds for which a request is sent again


class RetryingLoad(threading.Thread):
    """Sends events of users of its own, and asks for what the service recommends to them; sends again what fails.

    Each request has a connection of its own, so that it comes to any worker.

    Args:
        url: of the service.
        seed: of the events.
        model: that is served.
        until: says when to end.

    Attributes:
        acknowledged: events whose answer came, by user.
        checked: answers that were compared with the batch forward.
        failed: requests that had no answer, and were sent again.
        problem: what was wrong; None for nothing.
    """

    def __init__(self, url: str, seed: int, model: Recommender, until: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self.url, self.random, self.model, self.until = url, random.Random(seed), model, until
        self.users = [f"t{seed}u{number}" for number in range(3)]
        self.acknowledged: dict[str, list[dict[str, Any]]] = {user: [] for user in self.users}
        self.checked = self.failed = 0
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.until():
                events = [self.event() for _ in range(self.random.randint(1, 5))]
                said = self.ask("POST", "/v1/events", json={"events": events})
                assert said["accepted"] + said["duplicates"] == len(events)
                for event in events:
                    self.acknowledged[event["user"]].append(event)
                self.check(self.random.choice(events)["user"])
        except BaseException as error:
            self.problem = error

    def check(self, user: str) -> None:
        """What was acknowledged counts at once, whoever answers."""
        found = self.ask("GET", f"/v1/users/{user}/recommendations")["items"]
        history = [Event(e["item"], e["rating"], None, e["time"]) for e in self.acknowledged[user]]
        wanted = self.model.recommend_many([history], 10)[0].items
        assert [item["item"] for item in found] == [item.item for item in wanted], user
        scores = [item["score"] for item in found]
        assert scores == pytest.approx([item.score for item in wanted], rel=1e-4, abs=1e-4)
        self.checked += 1

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """What the service answers in the end."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                answer = httpx.request(method, self.url + path, timeout=30, **more)
                if answer.status_code == 200:
                    return answer.json()
                assert answer.status_code >= 500, answer.text
            except httpx.HTTPError:
                pass
            self.failed += 1
            assert time.monotonic() < until, "there is no answer"
            time.sleep(0.05)

    def event(self) -> dict[str, Any]:
        number = self.random.getrandbits(60)
        return {
            "user": self.random.choice(self.users),
            "item": f"i{self.random.randrange(300)}",
            "rating": float(number % 5 + 1),
            "time": START + self.random.randrange(10**6),  # out of order, as a rule
            "id": str(number),
        }


def run_loads(url: str, model: Recommender, number: int, meanwhile: Callable[[list[RetryingLoad]], None]) -> int:
    """Run loads while something is done to the service; returns the number of acknowledged events.

    Args:
        url: of the service.
        model: that is served.
        number: of loads.
        meanwhile: does it.
    """
    done = threading.Event()
    loads = [RetryingLoad(url, seed, model, done.is_set) for seed in range(number)]
    for load in loads:
        load.start()
    try:
        meanwhile(loads)
    finally:
        done.set()
    for load in loads:
        load.join(2 * PATIENCE)
        if load.problem is not None:
            raise load.problem
        for user, events in load.acknowledged.items():
            if events:
                assert load.ask("GET", f"/v1/users/{user}")["events"] == len(events)
                load.check(user)
    return sum(len(events) for load in loads for events in load.acknowledged.values())


def wait_until(met: Callable[[], bool], seconds: float = 900.0) -> None:
    """Wait for something."""
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.1)
