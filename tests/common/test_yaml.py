"""Settings from yaml: RecBole's numbers, plain data alone, and no text that grows without end."""

import pytest
import yaml

from recbole_longinterest.common.yaml import DEEPEST, SettingsFileError, read_yaml

TENFOLD = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
MERGED = [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 30)]
CHAIN = [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 1000)]


def test_numbers_are_recboles() -> None:
    text = "a: 1e-4\nb: .5\nc: 1.e5\nd: -2E3\ne: 1_000\nf: 1.5\ng: on\nh: ~\ni: !!python/tuple [1, [2]]\n"
    assert list(read_yaml(text).values()) == [0.0001, 0.5, 100000.0, -2000.0, 1000, 1.5, True, None, (1, [2])]


def test_names_stand_for_what_they_name() -> None:
    assert read_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: 2}\n") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": 2},
    }


@pytest.mark.parametrize(
    "tag", ["name:os.system ''", "module:os ''", "object/apply:os.system [true]", "object:os.x {}"]
)
def test_tags_of_python_are_refused(tag: str) -> None:
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        read_yaml(f"a: !!python/{tag}")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 5000,
        "a: &a [*a]",
        "a: &a {b: *a}",
        "\n".join(["a0: &a0 [1]", *TENFOLD]),
        "\n".join(["a0: &a0 {x: 1}", *MERGED]),
        "\n".join(["a0: &a0 [1]", *CHAIN]),
    ],
    ids=["brackets", "dashes", "own list", "own mapping", "tenfold", "merged", "chain"],
)
def test_depth_and_size_are_bounded(text: str) -> None:
    with pytest.raises(SettingsFileError, match=f"deeper than {DEEPEST} levels"):
        read_yaml(text)
