"""The registry: order, what is kept and taken back, and RecBole's code compared with what it was."""

import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from recbole_longinterest.plugin.fixes import recbole_sources, registry
from recbole_longinterest.plugin.fixes.registry import PatchError, leave_out, patch, source_hash, undo

SOURCE = """
def double(number):
    return 2 * number


class Box:
    def open(self):
        return "old"

    def close(self):
        return "closed"
"""
USER = "from toy_recbole import double\n"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ModuleType]]:
    """A package that stands in for RecBole and the import of it; the registry is as before afterwards."""
    (tmp_path / "toy_recbole.py").write_text(SOURCE)
    (tmp_path / "toy_user.py").write_text(USER)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("_patches", "_warned"):
        monkeypatch.setattr(registry, name, [])
    monkeypatch.setattr(registry, "_left_out", set())
    monkeypatch.setattr(registry, "SOURCES", {})

    def load() -> ModuleType:
        import toy_recbole  # type: ignore[import-not-found]

        return toy_recbole

    yield load
    for name in ("toy_recbole", "toy_user"):
        sys.modules.pop(name, None)


def test_a_patch_waits_for_the_import_and_keeps_the_original(toy: Callable[[], ModuleType]) -> None:
    @patch("toy_recbole:Box.open", kind="fix", issue=7, why="It is old.", wraps=True)
    def newer(original: Callable[..., str]) -> Callable[..., str]:
        return lambda self: original(self) + " and new"

    (one,) = registry.patches()
    assert (one.state, one.name, one.issues) == ("waiting", "newer", (7,))
    assert toy().Box().open() == "old and new"
    assert one.state == "applied" and one.original(None) == "old"  # type: ignore[operator]


def test_a_function_that_was_bound_before_is_replaced_everywhere(toy: Callable[[], ModuleType]) -> None:
    import toy_user  # type: ignore[import-not-found]

    @patch("toy_recbole:double", kind="fix", why="Twice is not enough.")
    def triple(number: int) -> int:
        return 3 * number

    assert toy().double(2) == toy_user.double(2) == 6
    undo("triple")
    assert toy().double(2) == toy_user.double(2) == 4


def test_a_second_patch_must_name_the_first(toy: Callable[[], ModuleType]) -> None:
    with pytest.raises(PatchError, match=r"Box\.open has no patch first that early could follow"):
        patch("toy_recbole:Box.open", name="early", kind="fix", why="", after="first")(lambda self: "")
    patch("toy_recbole:Box.open", name="first", kind="fix", why="", wraps=True)(
        lambda old: lambda self: old(self) + "1"
    )
    with pytest.raises(PatchError, match=r"Box\.open already has the patch first; .* after='first'"):
        patch("toy_recbole:Box.open", name="second", kind="fix", why="")(lambda self: "")
    patch("toy_recbole:Box.open", name="second", kind="fix", why="", after="first", wraps=True)(
        lambda old: lambda self: old(self) + "2"
    )
    assert toy().Box().open() == "old12"
    undo("first")
    assert toy().Box().open() == "old2"
    undo("second")
    assert toy().Box().open() == "old"


def test_what_was_not_there_goes_again(toy: Callable[[], ModuleType]) -> None:
    patch("toy_recbole:Box.size", name="size", kind="feature", why="", wraps=True)(lambda missing: missing or 3)
    patch("toy_recbole:Box.close", name="kept", kind="fix", why="", wraps=True)(lambda close: close)
    assert toy().Box.size == 3
    assert [each.state for each in registry.patches()] == ["applied", "not needed"]
    undo("size")
    assert not hasattr(toy().Box, "size")


def test_something_done_after_an_import_is_taken_back(toy: Callable[[], ModuleType]) -> None:
    @patch("toy_recbole", kind="fix", why="It lacks a name.")
    def name(module: ModuleType) -> Callable[[], None]:
        module.extra = 1  # type: ignore[attr-defined]
        return lambda: delattr(module, "extra")

    assert toy().extra == 1
    undo("name")
    assert not hasattr(toy(), "extra")


def test_one_is_left_out(toy: Callable[[], ModuleType]) -> None:
    leave_out("out")
    patch("toy_recbole:Box.open", "toy_recbole:Box.close", name="out", kind="fix", why="")(lambda self: "new")
    assert toy().Box().open() == "old"
    assert {each.state for each in registry.patches()} == {"left out"}


def test_a_missing_class_is_said(toy: Callable[[], ModuleType]) -> None:
    toy()
    with pytest.raises(PatchError, match=r"toy_recbole:Bag\.open needs Bag, which toy_recbole does not have"):
        patch("toy_recbole:Bag.open", name="bag", kind="fix", why="")(lambda self: "")


def test_other_code_of_recbole_is_noticed(
    toy: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hashes = {"toy_recbole:Box.open": "000000000000", "toy_recbole:Box.close": "111111111111"}
    hashes["toy_recbole:double"] = source_hash(toy().double) or ""
    monkeypatch.setattr(registry, "SOURCES", hashes)
    with caplog.at_level(logging.WARNING):
        for target in hashes:
            patch(target, name=target, kind="fix", why="")(lambda *_: "")
    assert [each.target for each in registry.unexpected()] == ["toy_recbole:Box.open", "toy_recbole:Box.close"]
    assert caplog.text.count("differs from the code that the patch") == 1  # once a process


def test_the_hash_is_of_the_code_not_of_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "def here():\n    return 1\n"
    (tmp_path / "flat_one.py").write_text("x = 2\n\n" + code)
    (tmp_path / "flat_two.py").write_text("if True:\n    def here():\n\n        return 1  \n")
    (tmp_path / "flat_three.py").write_text(code.replace("1", "2"))
    monkeypatch.syspath_prepend(tmp_path)
    one, two, three = (importlib.import_module(f"flat_{name}").here for name in ("one", "two", "three"))
    assert source_hash(one) == source_hash(two) != source_hash(three)
    assert source_hash(3) is None


def test_the_code_of_recbole_is_the_one_that_the_patches_were_written_for() -> None:
    import recbole.quick_start  # noqa: F401

    patches = registry.patches(everything=True)
    for each in patches:
        importlib.import_module(each.module)
    found = {each.source_of: each.found for each in patches if each.found}
    assert found == recbole_sources.SOURCES  # write what differs into the table, after a look at RecBole's code
    assert registry.unexpected() == []
    assert {each.state for each in patches} <= {"applied", "not needed"}
