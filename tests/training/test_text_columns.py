"""`recbole-li columns`: the column that says what goes together is chosen, and the validation part is not read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_longinterest.cli import main
from tests.conftest import FakeEncoder

ITEMS, USERS = 150, 200


def planted(late: int | None = None) -> tuple[str, str]:
    """Users who stay within one of 15 kinds; the column ``kind`` says which it is, ``noise`` and ``serial`` do not.

    Args:
        late: seed of other items in everybody's last two events, those of the validation and test parts.
    """
    rng = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"first\ti{item}\t{item}" for item in [*range(ITEMS), 0, 0]]  # every item gets the same id in all cases
    for user in range(USERS):
        items = 15 * rng.permutation(10)[:8] + user % 15
        if late is not None:
            items[-2:] = np.random.default_rng([late, user]).integers(ITEMS, size=2)
        lines += [f"u{user}\ti{item}\t{1000 * user + time}" for time, item in enumerate(items)]
    rows = [f"i{item}\tserial {item}\tkind {item % 15}\tnoise {item % 7}" for item in range(ITEMS)]
    head = "item_id:token\tserial:token_seq\tkind:token_seq\tnoise:token_seq"
    return "\n".join(lines) + "\n", "\n".join([head, *rows]) + "\n"


def columns(root: Path, *more: str) -> int:
    settings = ["--text_fields=['serial','noise']", "--text_dim=8", "--show_progress=False"]
    return main.main(["columns", "--dataset", "tiny", "--data_path", str(root), *settings, *more])


def test_the_column_that_counts_is_chosen(
    write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_dataset("tiny", *planted())
    assert columns(root) == 0
    out = capsys.readouterr().out
    assert out.endswith("text_fields: [kind]\n")
    assert "against text_fields serial, noise: +0." in out and "no clear difference" not in out
    root = write_dataset("tiny", *planted(late=1))  # the events of the validation and test parts
    assert columns(root) == 0
    assert capsys.readouterr().out == out
    assert columns(root, "--columns", "serial", "noise") == 0
    assert "kind" not in capsys.readouterr().out


def test_held_out_items_that_follow_no_other_item(
    write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(ITEMS):  # each has one item, again and again
        lines += [f"u{user}\ti{user}\t{step}" for step in range(4)]
    root = write_dataset("tiny", "\n".join([*lines, ""]), planted()[1])
    assert columns(root) != 0
    assert "No user has one of the held-out items after another item" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--columns", "colour"], "--columns must name columns of .*tiny.item, which are title, class; got colour"),
        ([], "Choosing columns needs at least 100 items with a text and training events; .*tiny.item has 20"),
    ],
)
def test_what_cannot_be_chosen(
    more: list[str], message: str, small_config: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    small_config()
    root = Path("data").resolve()
    assert main.main(["columns", "--dataset", "tiny", "--data_path", str(root), *more]) != 0
    assert re.search(message, capsys.readouterr().err)
    (root / "tiny" / "tiny.item").unlink()
    assert main.main(["columns", "--dataset", "tiny", "--data_path", str(root), *more]) != 0
    assert re.search("There is no file .*tiny.item with columns for texts", capsys.readouterr().err)
