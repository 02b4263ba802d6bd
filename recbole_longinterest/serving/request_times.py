"""The time of a request, for models with ``request_time``, and for rules and strategies by item age."""

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
    """Convert seconds since 1970 to the unit of a model's training; NaN if its times do not count from 1970.

    Args:
        scorer: the model.
        seconds: seconds since 1970; None for now.
    """
    seconds = time.time() if seconds is None else seconds
    training = scorer.reader.times.training
    if training is None:
        return seconds
    return math.nan if training.unit is None else seconds * training.per_second


def time_of(scorer: Scorer, at: At) -> float:
    """Convert the time of a request to the unit of a model's training.

    Args:
        scorer: the model.
        at: the given time; None for now, which is NaN if the training's times do not count from 1970.

    Raises:
        LongInterestError: for a value that is neither a number nor a date, or a time in another unit.
    """
    return clock(scorer) if at is None else scorer.reader.times.one(at, "The request")


def asked_at(scorer: Scorer, histories: Sequence[History], at: At) -> list[History]:
    """Set the request time of histories, for a model that reads it.

    Args:
        scorer: the model.
        histories: the histories; if ``at`` is None, those that already have a request time keep it.
        at: time of the request.

    Raises:
        LongInterestError: as :func:`time_of`.
    """
    if scorer.network.request is None:
        return list(histories)
    now = time_of(scorer, at)
    return [replace(each, at=now) if at is not None or math.isnan(each.at) else each for each in histories]
