"""Times of another unit than the training's are refused, with the factor; its own are taken without a word."""

import numpy as np
import pytest

from recbole_longinterest.serving.training_times import TrainingTimes, times_in_about, training_times

SECONDS = TrainingTimes(1.5e9, 1.5005e9, 1.501e9)
MILLISECONDS = TrainingTimes(1.5e12, 1.5005e12, 1.501e12)
DAYS = TrainingTimes(14_000, 15_000, 16_000)
FROM_ZERO = TrainingTimes(0, 50, 100)


@pytest.mark.parametrize(
    ("training", "times", "message"),
    [
        (SECONDS, [1.6e12, 1.6e9], r"f: 1 of 2 times, 1600000000000 for one, may be milliseconds.*Divide by 1000\."),
        (SECONDS, [1.6e12], r"f: the time, .* may be milliseconds, and the training's are seconds from 1500000000 to"),
        (SECONDS, [1.6e15], r"may be microseconds.*Divide by 1000000\."),
        (SECONDS, [1.6e18], r"may be nanoseconds.*Divide by 1000000000\."),
        (SECONDS, [2.6e7], r"may be minutes.*Multiply by 60\."),
        (SECONDS, [18_000], r"may be days.*Multiply by 86400\."),
        (SECONDS, [43_831, 43_900], "may be days since 1900, as Excel's"),
        (SECONDS, [20_200_731, 20_200_801], r"may be dates written as YYYYMMDD.*Give ISO dates"),
        (SECONDS, [202_007, 0], "2 of 2 times, 202007 for one, may be dates written as YYYYMM"),
        (SECONDS, [20_200_731_123_000], "dates written as YYYYMMDDhhmmss"),
        (MILLISECONDS, [1.6e9], r"may be seconds.*Multiply by 1000\."),
        (MILLISECONDS, [1.6e15], r"may be microseconds.*Divide by 1000\."),
        (MILLISECONDS, [20_200_731], "dates written as YYYYMMDD"),
        (DAYS, [1.4e9], r"in a unit 86400 times smaller.*Divide by 86400\."),
        (FROM_ZERO, [50_000], r"in a unit 1000 times smaller, and the training's are numbers from 0 to 100"),
    ],
)
def test_times_of_another_unit_are_refused(training: TrainingTimes, times: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training.check(np.array(times, dtype=float), "f")


@pytest.mark.parametrize(
    ("training", "times"),
    [
        (SECONDS, [1.3e9, 1.5e9, 1.6e9, 2.5e9, np.nan]),
        (MILLISECONDS, [1.3e12, 2.0e12]),
        (DAYS, [13_000, 20_000]),
        (FROM_ZERO, [-5, 0, 120, 9_000]),
        (TrainingTimes(0, 0, 0), [1e9]),
        (TrainingTimes(0, 1.5e9, 1.6e9), [1.61e9]),  # an outlier in the training
    ],
)
def test_times_of_the_trainings_unit_are_taken(
    training: TrainingTimes, times: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    training.check(np.array(times, dtype=float), "f")
    assert not caplog.records


def test_other_times_far_from_the_trainings_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    training = TrainingTimes(1.5e9, 1.5e9, 1.6e9)
    for _ in range(2):
        training.check(np.array([0.0, -1.0]), "f")
    assert [record.message for record in caplog.records] == [
        "f: 2 of 2 times are far from the training's (0): the training's are seconds from 1500000000 to 1600000000."
    ]


def test_numbers_that_count_from_zero_are_no_hours(caplog: pytest.LogCaptureFixture) -> None:
    TrainingTimes(1e9, 1e9, 1.1e9).check(np.arange(1_000_000.0), "f")
    assert "f: 1,000,000 of 1,000,000 times are far from the training's (0)" in caplog.text


def test_an_export_holds_them() -> None:
    about = {"times": times_in_about(np.array([3.0, 1.0, np.nan, 2.0]))}
    assert about == {"times": {"first": 1.0, "median": 2.0, "last": 3.0}}
    assert training_times(about) == TrainingTimes(1, 2, 3)
    assert training_times({}) is training_times({"times": times_in_about(np.zeros(0))}) is None
    for wrong in ([1, 2], {"first": 1}, {"first": 3, "median": 2, "last": 1}, {"first": 0, "median": "1", "last": 2}):
        with pytest.raises(ValueError, match="times of the training must be first, median and last"):
            training_times({"times": wrong})


@pytest.mark.parametrize("training", [SECONDS, MILLISECONDS, DAYS, FROM_ZERO])
@pytest.mark.parametrize("time", [5e-324, 1e-311, 1e-300, 1e308, -5e-324, -1e308])
def test_times_at_the_ends_of_what_a_number_can_be(
    training: TrainingTimes, time: float, caplog: pytest.LogCaptureFixture
) -> None:
    """They are no unit's, whose factor would make them 0 or infinite."""
    TrainingTimes(training.first, training.median, training.last).check(np.array([time]), "f")
    assert len(caplog.records) <= 1
