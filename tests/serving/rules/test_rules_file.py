"""Rules are read again when their files change, and bad ones change nothing."""

import os
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.serving.rules import RulesError, RulesFile, rules_file
from recbole_longinterest.serving.rules.shop_rules import ShopRules
from tests.serving.rules.test_shop_rules import model_of, shown

MODEL = model_of()


def rules_in(path: Path, pause: float = 0.0) -> RulesFile:
    return RulesFile(path, MODEL, ("interest",), pause)


def hidden(rules: ShopRules) -> set[int]:
    return set(range(30)) - set(shown(MODEL, rules))


def change(path: Path, text: str) -> None:
    """Write a file whose time differs, however coarse the file system's clock is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_a_changed_file_is_in_force_at_the_next_request(tmp_path: Path) -> None:
    change(tmp_path / "shop.yaml", "deny: [i1]")
    rules = rules_in(tmp_path / "shop.yaml")
    assert hidden(rules.current()) == {1}
    change(tmp_path / "shop.yaml", "deny: [i2]")
    assert hidden(rules.current()) == {2} and rules.problem is None


def test_a_file_that_the_rules_name_is_watched_too(tmp_path: Path) -> None:
    change(tmp_path / "sold.txt", "i1\n")
    change(tmp_path / "shop.yaml", "out_of_stock: sold.txt")
    rules = rules_in(tmp_path / "shop.yaml")
    change(tmp_path / "sold.txt", "i2\ni3\n")
    assert hidden(rules.current()) == {2, 3}
    change(tmp_path / "shop.yaml", "deny: other.txt")
    assert rules.problem is None and hidden(rules.current()) == {2, 3}
    assert rules.problem is not None and "deny: other.txt cannot be read" in rules.problem


def test_bad_rules_leave_the_old_ones_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(tmp_path / "shop.yaml", "deny: [i1]")
    rules = rules_in(tmp_path / "shop.yaml")
    change(tmp_path / "shop.yaml", "deny: 5")
    for _ in range(3):
        assert hidden(rules.current()) == {1}
    assert rules.problem is not None and rules.problem.endswith("The previous rules stay active.")
    assert sum("The previous rules stay active." in line for line in caplog.messages) == 1
    (tmp_path / "shop.yaml").unlink()
    assert hidden(rules.current()) == {1} and "cannot be read" in rules.problem
    change(tmp_path / "shop.yaml", "deny: [i4]")
    assert hidden(rules.current()) == {4} and rules.problem is None


def test_half_a_file_that_is_written_in_place_is_never_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every beginning of a file, each seen by a look; many are sound rules by themselves."""
    now = [0.0]
    monkeypatch.setattr(rules_file.time, "monotonic", lambda: now[0])
    path, whole = tmp_path / "shop.yaml", "deny: [i2, i3]\nout_of_stock: sold.txt\n"
    (tmp_path / "sold.txt").write_text("i4\n")
    change(path, "deny: [i1]\n")
    rules = rules_in(path, pause=1.0)
    for number in range(len(whole) + 1):
        change(path, whole[:number])
        now[0] += 1
        assert hidden(rules.current()) == {1} and rules.problem is None
    now[0] += 1
    assert hidden(rules.current()) == {1}  # whole now: it names a further file, which has to stay the same, too
    now[0] += 1
    assert hidden(rules.current()) == {2, 3, 4} and rules.problem is None


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.yaml"
    change(path, "deny: [i1]")
    rules = rules_in(path)
    made = rules_file.ShopRules

    def slowly(*given: Any) -> ShopRules:
        monkeypatch.setattr(rules_file, "ShopRules", made)
        change(path, "deny: [i3]")  # between the reading and the look after it
        return made(*given)

    change(path, "deny: [i2]")
    monkeypatch.setattr(rules_file, "ShopRules", slowly)
    assert hidden(rules.current()) == {1}
    assert hidden(rules.current()) == {3}


def test_what_may_be_half_a_file_for_longer(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    change(path, "deny: [i1]\n...\n")
    rules = rules_in(path)
    for half, said in (
        ("", "are empty. Write {} for no rules."),
        ("# shop\n", "are empty"),
        ("deny: [i2]\n", "line ..."),
    ):
        change(path, half)
        assert hidden(rules.current()) == {1} and rules.problem is not None and said in rules.problem
    change(path, "deny: [i2]\n...")
    assert hidden(rules.current()) == {2} and rules.problem is None
    change(path, "{}\n...\n")
    assert hidden(rules.current()) == set() and rules.problem is None


def test_a_file_that_was_missing_is_read_when_it_is_there(tmp_path: Path) -> None:
    change(tmp_path / "shop.yaml", "deny: [i1]")
    rules = rules_in(tmp_path / "shop.yaml")
    change(tmp_path / "shop.yaml", "deny: gone.txt")
    assert hidden(rules.current()) == {1} and rules.problem is not None
    change(tmp_path / "gone.txt", "i5\n")
    assert hidden(rules.current()) == {5} and rules.problem is None


def test_a_file_that_was_only_touched_is_not_read_again(tmp_path: Path) -> None:
    change(tmp_path / "shop.yaml", "deny: [i1]")
    rules = rules_in(tmp_path / "shop.yaml")
    first = rules.current()
    change(tmp_path / "shop.yaml", "deny: [i1]")
    assert rules.current() is first
    change(tmp_path / "shop.yaml", "deny: [i2]")
    assert rules.current() is not first


def test_files_are_looked_at_after_the_pause_alone(tmp_path: Path) -> None:
    change(tmp_path / "shop.yaml", "deny: [i1]")
    rules = rules_in(tmp_path / "shop.yaml", pause=3600)
    change(tmp_path / "shop.yaml", "deny: [i2]")
    assert hidden(rules.current()) == {1}


def test_availability_by_call_outlives_a_change(tmp_path: Path) -> None:
    change(tmp_path / "shop.yaml", "out_of_stock: [i1]")
    rules = rules_in(tmp_path / "shop.yaml")
    rules.set_available({"i1": True, "i2": False})
    assert hidden(rules.current()) == {2}
    change(tmp_path / "shop.yaml", "out_of_stock: [i1, i3]")
    assert hidden(rules.current()) == {2, 3}


def test_bad_rules_at_the_start_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("deny: 5")
    with pytest.raises(RulesError, match="has 1 error: deny must be"):
        rules_in(tmp_path / "shop.yaml")
    with pytest.raises(RulesError, match=r"The rules .*none.yaml cannot be read"):
        rules_in(tmp_path / "none.yaml")


def test_rules_grow_with_the_model(tmp_path: Path) -> None:
    model = model_of(20)
    change(tmp_path / "shop.yaml", "deny: [i1, i25]")
    rules = RulesFile(tmp_path / "shop.yaml", model, ("interest",), 3600)
    rules.set_available({"i26": False})
    model._serve(model_of(30).served, type(model.engine))
    assert set(range(30)) - set(shown(model, rules.current())) == {1, 25, 26}


def test_rules_of_another_model_are_those_in_force(tmp_path: Path) -> None:
    change(tmp_path / "shop.yaml", "deny: [i1, i25]")
    rules = RulesFile(tmp_path / "shop.yaml", model_of(20), ("interest",), 0.0)
    rules.set_available({"i26": False})
    change(tmp_path / "shop.yaml", "deny: 5")
    before = rules.current()
    other = rules.of_model(MODEL)
    assert hidden(other.current()) == {1, 25, 26} and other.problem == rules.problem is not None
    other.set_available({"i2": False})
    change(tmp_path / "shop.yaml", "deny: [i3]")
    assert hidden(other.current()) == {2, 3, 26} and other.problem is None
    assert rules.current() is not before and len(rules.current().catalogue) == 21
