"""When a request comes: for models that read it (``request_time``), and for rules and strategies by age."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TypeAlias

from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.scorer import Scorer

At: TypeAlias = float | str | date | None
"""Time of a request: a number in the training's unit, a date, or None for now."""


def clock(scorer: Scorer, seconds: float | None = None) -> float:
    """A time in the unit of a model's training; NaN if its times do not count from 1970.

    Args:
        scorer: the model.
        seconds: since 1970; now if None.
    """
    seconds = time.time() if seconds is None else seconds
    training = scorer.reader.times.training
    if training is None:
        return seconds
    return math.nan if training.unit is None else seconds * training.per_second


def time_of(scorer: Scorer, at: At) -> float:
    """The time of a request in the unit of a model's training.

    Args:
        scorer: the model.
        at: as users give it; None means now, which is unknown (NaN) if the training's times do not count from 1970.

    Raises:
        LongInterestError: for something else than a number or a date, and for a time of another unit.
    """
    return clock(scorer) if at is None else scorer.reader.times.one(at, "The request")


def asked_at(scorer: Scorer, histories: Sequence[History], at: At) -> list[History]:
    """Histories with the time of a request, for a model that reads it.

    Args:
        scorer: the model.
        histories: those that have a time of their own keep it where ``at`` is None.
        at: time of the request.

    Raises:
        LongInterestError: as :func:`time_of`.
    """
    if scorer.network.request is None:
        return list(histories)
    now = time_of(scorer, at)
    return [replace(each, at=now) if at is not None or math.isnan(each.at) else each for each in histories]
