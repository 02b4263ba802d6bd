"""Search spaces: what is drawn, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.common.resources import resource
from recbole_longinterest.experiments.tuning.space import Parameter, RandomSuggest, Space, read_space

YAML = """
learning_rate: {loguniform: [0.001, 0.1]}
attention: {choice: [true, false]}
attention_heads: {choice: [1, 2, 4], when: {attention: true}}
dropout_prob: {quniform: [0.1, 0.6, 0.1]}
train_batch_size: {quniform: [512, 2048, 512]}
mlp_hidden_size: {choice: [[64, 32], [128]]}
weight_decay: {uniform: [0, 1]}
loss_type: CE
"""


def written(tmp_path: Path, text: str, name: str = "space.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_values_stay_in_their_limits(tmp_path: Path) -> None:
    settings = read_space(written(tmp_path, YAML)).random(300, 1, {})
    assert len(settings) == 300
    for setting in settings:
        assert 0.001 <= setting["learning_rate"] <= 0.1
        assert setting["dropout_prob"] in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
        assert setting["train_batch_size"] in (512, 1024, 1536, 2048) and isinstance(setting["train_batch_size"], int)
        assert setting["mlp_hidden_size"] in ([64, 32], [128])
        assert 0 <= setting["weight_decay"] <= 1
        assert setting["loss_type"] == "CE"
        assert ("attention_heads" in setting) == setting["attention"]
    assert {s["dropout_prob"] for s in settings} == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}  # both ends are drawn
    below = sum(setting["learning_rate"] < 0.01 for setting in settings)  # half of a logarithmic scale
    assert 110 < below < 190


def test_a_seed_gives_the_same_settings_and_more_trials_begin_with_fewer(tmp_path: Path) -> None:
    space = read_space(written(tmp_path, YAML))
    assert space.random(5, 7, {}) == space.random(9, 7, {})[:5]
    assert space.random(5, 7, {}) != space.random(5, 8, {})


def test_numbers_are_read_as_recbole_reads_them(tmp_path: Path) -> None:
    text = "learning_rate: {choice: [1e-3, 5E-4, +1.5e3, 0.001]}\nname: {choice: [1e3x, e-3, minilm, 2020]}\n"
    rate, name = read_space(written(tmp_path, text)).parameters
    assert rate.values == (0.001, 0.0005, 1500.0, 0.001) and name.values == ("1e3x", "e-3", "minilm", 2020)


def test_nothing_is_drawn_twice() -> None:
    space = Space((Parameter("a", "choice", (1, 2, 3)), Parameter("b", "choice", (1, 2))))
    settings = space.random(50, 0, {})
    assert len(settings) == 6
    assert all(setting not in settings[:place] for place, setting in enumerate(settings))


def test_a_setting_that_a_search_begins_with(tmp_path: Path) -> None:
    space = read_space(written(tmp_path, YAML))
    config = {
        "learning_rate": 0.002,
        "dropout_prob": 0.25,
        "train_batch_size": 2048,
        "mlp_hidden_size": [128],
        "weight_decay": 0,
        "attention": False,
        "attention_heads": 3,  # not looked at without attention
        "loss_type": "BPR",  # the space has CE alone
    }
    own = space.own(config, {})
    assert own == {**{n: v for n, v in config.items() if n != "attention_heads"}, "loss_type": "CE"}
    settings = space.random(5, 7, {}, own)
    assert settings[0] == own and settings[1:] == space.random(4, 7, {})
    for other in ({"learning_rate": 1.0}, {"mlp_hidden_size": [64]}, {"weight_decay": None}, {"attention": True}):
        assert space.own({**config, **other}, {}) is None


def test_a_grid_has_every_setting_once(tmp_path: Path) -> None:
    text = "attention: {choice: [true, false]}\nattention_heads: {choice: [1, 2], when: {attention: true}}\n"
    assert list(read_space(written(tmp_path, text)).grid({})) == [
        {"attention": True, "attention_heads": 1},
        {"attention": True, "attention_heads": 2},
        {"attention": False},
    ]


def test_a_condition_may_name_a_fixed_setting() -> None:
    space = Space((Parameter("heads", "choice", (1,), {"attention": [True]}),))
    assert space.draw(RandomSuggest(0), {"attention": True}) == {"heads": 1}
    assert space.draw(RandomSuggest(0), {"attention": False}) == {}


def test_recbole_format(tmp_path: Path) -> None:
    text = "learning_rate loguniform -8,0\nembedding_size choice [64, 96]\n# a remark\n\ndropout quniform 0.1,0.3,0.1\n"
    space = read_space(written(tmp_path, text, "hyper.test"))
    learning_rate, embedding_size, dropout = space.parameters
    assert learning_rate.values == pytest.approx((0.000335, 1.0), rel=1e-2)  # hyperopt's limits are logarithms
    assert embedding_size.values == (64, 96)
    assert dropout.all_values() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it must have lines"),
        ("- a\n", "it must have lines"),
        ("a: {choice: []}", "at least one value"),
        ("a: {uniform: [1]}", "uniform needs low and high"),
        ("a: {uniform: [2, 1]}", "low < high"),
        ("a: {loguniform: [0, 1]}", "low > 0"),
        ("a: {quniform: [0, 1, 0]}", "step > 0"),
        ("a: {uniform: [0, .inf]}", "uniform needs low and high"),
        ("a: {normal: [0, 1]}", "must be one of choice, uniform"),
        ("a: [1, 2]", "must be one of choice, uniform"),
        ("a: {choice: [1], when: {b: 1}}\nb: {choice: [1]}", "a depends on b, which must be above it"),
        ("a: {choice: [1]", "is not a search space"),
    ],
)
def test_a_wrong_space_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_space(written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "a normal 0,1\n",
        "a choice __import__('os')\n",
        "a choice\n",
        "a uniform 1\n",
        "a choice 0.5\n",
        "a choice 'CE'\n",
    ],
)
def test_a_wrong_line_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"hyper\.test is not a search space"):
        read_space(written(tmp_path, text, "hyper.test"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        read_space(tmp_path / "none.yaml")


def test_no_end_of_values_is_no_grid() -> None:
    with pytest.raises(ValueError, match="a grid has no uniform"):
        list(Space((Parameter("a", "uniform", (0, 1)),)).grid({}))


@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec", "SASRec"])
def test_shipped_spaces(model: str) -> None:
    space = read_space(resource("properties", f"search/{model}.yaml"))
    names = {parameter.name: parameter for parameter in space.parameters}
    assert names["MAX_ITEM_LIST_LENGTH"].values == (50, 200)
    assert any("dropout" in name or "drop" in name for name in names)


def test_what_was_drawn_can_be_suggested_again() -> None:
    space = Space((Parameter("a", "choice", ([1], [2])), Parameter("b", "uniform", (0, 1))))

    class Again:
        def __init__(self, values: dict[str, Any]) -> None:
            self.values = values

        def suggest_categorical(self, name: str, choices: Any) -> Any:
            assert self.values[name] in choices
            return self.values[name]

        def suggest_float(self, name: str, low: float, high: float, **_: Any) -> Any:
            return self.values[name]

    setting = space.draw(RandomSuggest(3), {})
    assert space.draw(Again(space.suggested(setting)), {}) == setting
