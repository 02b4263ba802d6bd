"""The function does what the command does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest import LongInterestError, prepare_data

EVENTS = "who,what,when,stars\na,x,1,5\na,y,2,4\nb,x,3,3\nb,y,5,1\n"
ROLES = {"user": "who", "item": "what", "time": "when"}


@pytest.fixture
def events(tmp_path: Path) -> Path:
    file = tmp_path / "events.csv"
    file.write_text(EVENTS)
    return file


def test_the_function_and_the_command_write_the_same(events: Path, prepare: Callable[..., Any], tmp_path: Path) -> None:
    words = [word for role, column in ROLES.items() for word in (f"--{role}", column)]
    by_command = prepare("csv", events, *words, "--rating", "stars", "--min-rating", 2, "--until", 4)
    done = prepare_data(
        "csv", paths=str(events), **ROLES, rating="stars", min_rating=2, until="4", name="raw", output=tmp_path / "own"
    )
    assert done.name == "raw" and done.report["rows"]["kept"] == 3
    for file in done.files:
        if file.suffix in (".inter", ".yaml"):
            assert file.read_bytes() == (by_command.output / file.relative_to(tmp_path / "own")).read_bytes()


def test_one_path_and_several_are_the_same(events: Path) -> None:
    reports = [
        prepare_data("csv", paths=paths, **ROLES, dry_run=True, show_progress=False).report
        for paths in (events, [events], [str(events)])
    ]
    assert reports[0] == reports[1] == reports[2] and not Path("dataset").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "cvs"}, r"source must be one of movielens, .*; got 'cvs'\.$"),
        ({"source": "csv", "paths": "events.csv", "user": "who"}, r"The source csv needs item\.$"),
        ({"source": "movielens"}, r"The source movielens needs path\.$"),
        ({"source": "steam", "patsh": "x"}, r"The source steam has no argument patsh; it has path, reviews, games\.$"),
        ({"source": "movielens", "path": "nowhere"}, "nowhere"),
    ],
)
def test_errors_say_what_to_do(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LongInterestError, match=message):
        prepare_data(**arguments)
    assert not Path("dataset").exists()
