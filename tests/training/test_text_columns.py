"""`recbole-li columns`: the texts that say what goes together are chosen, and the validation part is not read."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from recbole_longinterest.cli import main
from recbole_longinterest.data import item_texts
from recbole_longinterest.training.adapting import held_out
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


def columns(root: Path, *more: str, fields: tuple[str, str] = ("serial", "noise"), dim: int = 8) -> int:
    settings = [f"--text_fields={list(fields)}", f"--text_dim={dim}", "--show_progress=False"]
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


def shop(late: int) -> tuple[str, str]:
    """Users who stay within one of five price bands of 30 items.

    Args:
        late: number of further, cheap items that only the validation and test parts have.
    """
    rng = np.random.default_rng(1)
    order = rng.permutation(ITEMS)  # place of each item by price
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(USERS):
        items = np.flatnonzero(order // 30 == user % 5)[rng.permutation(30)[:8]].tolist()
        if late:
            items[-2:] = [ITEMS + user % late, ITEMS + (user + 1) % late]
        lines += [f"u{user}\ti{item}\t{1000 * user + time}" for time, item in enumerate(items)]
    prices = [f"{2 * place}.99" for place in order] + ["0.01"] * late
    rows = [f"i{item}\tserial {item}\t{price if item else 'ask us'}" for item, price in enumerate(prices)]
    return "\n".join(lines) + "\n", "\n".join(["item_id:token\tserial:token_seq\tprice:token", *rows]) + "\n"


def test_numbers_in_words_are_chosen(
    write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = []
    for late in (0, 60):
        root = write_dataset("tiny", *shop(late))
        assert columns(root, "--columns", "price", fields=("serial", "price")) == 0
        out = capsys.readouterr().out
        last = out[out.index("\ntext_fields: [price]\n") :]
        limits.append(yaml.safe_load(last)["text_numbers"]["price"])
        assert "  price\n" in out and "  price in words\n" in out
    for found in limits:  # of the training part's items
        assert found == pytest.approx([60.99, 120.99, 180.99, 240.99], abs=12)
    rules = "--text_numbers={'price': [60.5, 120, 180, 240], 'serial': 5}"
    assert columns(root, rules, "--columns", "price", fields=("serial", "price")) == 0  # the config's own rules
    assert capsys.readouterr().out.endswith("text_numbers: {price: [60.5, 120, 180, 240]}\n")


class Labelled(FakeEncoder):
    """Encodes the numbers of the columns one and two; without labels only their halves, rounded down."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        total = np.zeros((len(texts), self.dim), np.float32)
        for column in ("one", "two"):
            found = [re.search(rf"{column} (\d)", text) for text in texts]
            numbers = [9 if match is None else int(match[1]) for match in found]
            labelled = [f"{column}: " in text for text in texts]
            seen = [number if clear else number // 2 for number, clear in zip(numbers, labelled, strict=True)]
            total += super().encode([f"{column}{number}" for number in seen])
        return total


def test_a_template_is_chosen_if_it_is_clearly_better(
    write_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(item_texts, "TextEncoder", lambda *args, **kwargs: Labelled())
    monkeypatch.setattr(held_out, "K", 2)
    monkeypatch.setenv("RECBOLE_LI_CACHE", "cache")
    inter, _ = planted()
    rows = [f"i{item}\tone {item % 15 // 3}\ttwo {item % 15 % 3}" for item in range(ITEMS)]
    root = write_dataset("tiny", inter, "\n".join(["item_id:token\tone:token_seq\ttwo:token_seq", *rows]) + "\n")
    assert columns(root, fields=("one", "two"), dim=16) == 0
    out = capsys.readouterr().out
    assert out.endswith("\ntext_template: 'two: {two}. one: {one}'\n")
    assert "  {two}, one {one}\n" in out and "against text_fields one, two: +0." in out


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
    small_config()
    root = Path("data").resolve()
    assert main.main(["columns", "--dataset", "tiny", "--data_path", str(root), *more]) != 0
    assert re.search(message, capsys.readouterr().err)
    (root / "tiny" / "tiny.item").unlink()
    assert main.main(["columns", "--dataset", "tiny", "--data_path", str(root), *more]) != 0
    assert re.search("There is no file .*tiny.item with columns for texts", capsys.readouterr().err)
