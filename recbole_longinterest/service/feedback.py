"""Feedback on answers: the bandit learns from each request once, even if the request is retried."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.service.incoming import invalid
from recbole_longinterest.service.metrics import Metrics
from recbole_longinterest.service.store.records import AnswerOnce, ChangeDocument, Job, OnceAnswered, Request
from recbole_longinterest.serving.strategies import Bandit, strategy_names

BANDIT = "bandit"  # name of its document in the store


class Feedback:
    """Updates the stored bandit, and this process's copy of it.

    Args:
        bandit: the copy.
        submit: submits a job to the writer.
        clock: returns the time in seconds since 1970.
        metrics: metrics of the service.
    """

    def __init__(
        self,
        bandit: Bandit,
        submit: "Callable[[Job], asyncio.Future[Any]]",
        clock: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._bandit, self._submit, self._clock, self._metrics = bandit, submit, clock, metrics

    async def take(self, given: schemas.Feedback, request: Request | None = None) -> tuple[schemas.Learned, bool]:
        """Learn from feedback; it is saved when this returns.

        Args:
            given: the feedback.
            request: idempotency key and body hash, for requests with a key. The counts and the key are saved in one
                transaction.

        Returns:
            The state of the bandit, and whether the request was a retry, from which nothing is learned.

        Raises:
            Problem: for an unknown strategy.
            RequestChanged: for an idempotency key that was used for another body.
            StoreError: if the store fails; nothing was learned.
        """
        names, known = [*given.shown, *given.clicked], strategy_names()
        other = next((name for name in names if name not in known), None)
        if other is not None:
            raise invalid("shown", f"A strategy must be one of {', '.join(known)}; got {other!r}.")

        def learned(kept: str | None) -> str:  # from the stored counts: other processes learn, too
            bandit = Bandit() if kept is None else _bandit_of(kept)
            for name in dict.fromkeys(names):  # like Shop.feedback, without building the shop
                bandit.feedback(given.segment, name, given.shown.get(name, 0), given.clicked.get(name, 0))
            return bandit.to_json()

        change = ChangeDocument(BANDIT, learned)
        if request is None:
            text = await self._submit(change)
            self._follow(text, given)
            return _answer_of(text, given.segment), False

        def answer(text: str) -> str:
            return _answer_of(text, given.segment).model_dump_json()

        done: OnceAnswered = await self._submit(AnswerOnce(change, request, answer, self._clock()))
        if done.content is not None:
            self._follow(done.content, given)
        return schemas.Learned(**json.loads(done.answer)), done.content is None

    def _follow(self, kept: str, given: schemas.Feedback) -> None:
        self._bandit.follow(_bandit_of(kept))
        for outcome, numbers in (("shown", given.shown), ("clicked", given.clicked)):
            for name, number in numbers.items():
                self._metrics.feedback.labels(name, outcome).inc(number)


def _bandit_of(kept: str) -> Bandit:
    return Bandit.from_json(kept, "The store")


def _answer_of(kept: str, segment: str) -> schemas.Learned:
    rates = _bandit_of(kept).rates(segment)
    return schemas.Learned(
        segment=segment,
        strategies={name: schemas.Rate(rate=rate, shown=shown) for name, (rate, shown) in rates.items()},
    )
