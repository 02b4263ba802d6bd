"""The process of a shadow: answers requests like the service, with another model, and logs both answers."""

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.answers import by_history
from recbole_longinterest.service.catalogue import grow_again
from recbole_longinterest.service.logs import log, set_up_logs
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.problems import Problem
from recbole_longinterest.service.shop import ServiceShop
from recbole_longinterest.service.shop_parts import Wish
from recbole_longinterest.service.store.store import Store, reading_store
from recbole_longinterest.service.versions import Versions
from recbole_longinterest.service.work import LongWork
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.request_times import clock
from recbole_longinterest.serving.visitor import Visitor

LOWEST = 19  # priority


@dataclass(frozen=True)
class Asked:
    """A request that the service has answered.

    Attributes:
        user: user whose stored events were read; None for a history in the request.
        events: events of the request; None for a stored user.
        about: values of the user's features; None if not given.
        wish: the requested options.
        items: items of the answer.
        model: fingerprint of the model that answered.
        at: time of the request, in seconds since 1970.
    """

    user: str | None
    events: list[Event] | None
    about: dict[str, Any] | None
    wish: Wish
    items: list[str]
    model: str
    at: float


@dataclass(frozen=True)
class ShadowSetup:
    """Setup of the process.

    Attributes:
        versions: the folder of versions.
        version: version of the shadow's model.
        store: URL of the store, which is only read.
        options: options of the service.
        level: log level.
    """

    versions: Versions
    version: str
    store: str
    options: ServiceOptions
    level: int


def score_requests(setup: ShadowSetup, pipe: Any) -> None:  # noqa: ANN401 - of spawn
    """Answer requests from a pipe until it is closed.

    Args:
        setup: model and store.
        pipe: receives None when the model is ready, or the reason why not; then (outcome, overlap) for each request.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service handles Ctrl-C and closes the pipe
    with contextlib.suppress(AttributeError, OSError):  # not available on Windows
        os.nice(LOWEST)
    torch.set_num_threads(1)
    set_up_logs(logging.getLevelName(setup.level), setup.options.log_users)
    try:
        with reading_store(setup.store) as store:
            answer = _answering(setup, store)
            pipe.send(None)
            while True:
                pipe.send(_compared(setup, answer, pipe.recv()))
    except (LongInterestError, Problem) as error:
        pipe.send(str(error))
    except (EOFError, OSError):  # the service has ended
        return


def _answering(setup: ShadowSetup, store: Store) -> Callable[[Asked], list[str]]:
    """Build the function that answers requests."""
    base = setup.versions.load(setup.version)
    model = grow_again(base, store.item_batches())
    shop = ServiceShop(base, model, setup.options.rules, store, LongWork(), _write_nothing)

    def answer(asked: Asked) -> list[str]:
        stored = [each.event() for each in store.events_of(asked.user)] if asked.user is not None else asked.events
        events = stored or []

        def visitor(of: Recommender) -> Visitor:
            return Visitor.of_history(of, of.read(events, asked.about), clock(of, asked.at))

        if shop.decides(asked.wish):
            found, _, _ = shop.answer(visitor, asked.wish)
            return [item.item for item in found.items]
        return [item.item for item in by_history(model, events, asked.wish, asked.at, asked.about).items]

    return answer


def _compared(setup: ShadowSetup, answer: Callable[[Asked], list[str]], asked: Asked) -> tuple[str, float | None]:
    about: dict[str, Any] = {"version": setup.version, "model": asked.model}
    if setup.options.log_users and asked.user is not None:
        about["user"] = asked.user
    try:
        items = answer(asked)
    except Exception as error:  # a failed request must not stop the process
        log("shadow", logging.WARNING, error=error, **about)
        return "failed", None
    longest = max(len(items), len(asked.items))
    overlap = len(set(items) & set(asked.items)) / longest if longest else 1.0
    log("shadow", **about, items=asked.items, shadow_items=items, overlap=round(overlap, 4))
    return "compared", overlap


def _write_nothing(job: object) -> Any:  # noqa: ANN401 - never returns
    raise AssertionError(f"A shadow must not write to the store; got {job!r}.")
