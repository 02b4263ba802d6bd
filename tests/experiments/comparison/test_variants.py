"""Names of rows, and whose settings win."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.resources import resource
from recbole_longinterest.experiments.comparison import data, driver, variants
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.own_rows import own_row, read_rows
from recbole_longinterest.experiments.comparison.plan import Plan, all_ablations, read_settings
from recbole_longinterest.experiments.comparison.views import View
from recbole_longinterest.plugin import models
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.known_keys import known_keys
from recbole_longinterest.training.settings import make_config
from tests.conftest import FakeEncoder


def test_names_are_models_windows_and_rows() -> None:
    assert variants.variant_of("NARM") == variants.Variant("NARM", "NARM", kind="baseline")
    assert variants.variant_of("LongInterest").kind == "model"
    assert variants.variant_of("NARM@20").settings == {"MAX_ITEM_LIST_LENGTH": 20}
    assert variants.variant_of("LongInterest@20").settings["eval_history_length"] == 20
    assert variants.variant_of("Markov").model == "LastItemMarkov"
    with pytest.raises(ValueError, match="NARM@x must be a model and its window, such as GRU4Rec@200"):
        variants.variant_of("NARM@x")


def test_a_model_of_ones_own_has_no_name_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from recbole.model.sequential_recommender.gru4rec import GRU4Rec\n\n\nclass Markov(GRU4Rec):\n    pass\n"
    (tmp_path / "own_chains.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(models, "_known", dict(models._known))
    with pytest.raises(ValueError, match=r"own_chains:Markov has the same name as a row of the comparison, Markov\."):
        variants.variant_of("own_chains:Markov")


def test_rows_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text(
        "wide: {embedding_size: 128}\n7: {model: SASRec+all, n_layers: 3}\nlong: {model: SASRec@200, n_layers: 1}"
    )
    rows = read_rows(file)
    wide, seven, long = (own_row(name, settings) for name, settings in rows.items())
    assert wide == variants.Variant("LongInterest, wide", "LongInterest", {"embedding_size": 128}, kind="ablation")
    assert seven == variants.Variant("7", "SASRecAll", {"n_layers": 3}, kind="row")
    assert long.settings == {"MAX_ITEM_LIST_LENGTH": 200, "n_layers": 1}
    plan = Plan(["SASRec"], ["ml-100k"], [1, 2], own_rows=rows)
    assert [(variant.name, len(seeds)) for variant, seeds in plan.rows()][1:] == [
        *(("LongInterest, wide", 2), ("7", 2), ("long", 2))
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": 3}, r"must have the form NAME: \{model: MODEL, setting: value\}; got a: 3"),
        ({"a": {"model": 3}}, "got a: {'model': 3}"),
        ({"a": {"seed": 3}}, "compare sets seed itself; remove it from the row a"),
        ({"a": {"metrics": ["MRR"]}}, "The row a sets metrics, which all rows must share. Give --metrics to the comp"),
        ({"../a": {}}, r"The name of a row must be letters, digits, spaces and \. , \+ - _, at most 60; got '\.\./a'"),
        ({"/tmp/a": {}}, "The name of a row must be"),
        ({"a" * 61: {}}, "The name of a row must be"),
        ({"a": {"exact_order": False}}, "The row a sets exact_order"),
        ({"a": {"model": "mine:Model"}}, "The row a names mine:Model. Give it among the models, and its class alone"),
        ({"SASRec": {"model": "SASRec"}}, "There are two rows SASRec. Give the row SASRec another name"),
        ({"without text": {"text_features": False}}, "There are two rows LongInterest, without text"),
    ],
)
def test_what_a_row_of_ones_own_may_not_be(rows: dict[str, Any], message: str) -> None:
    with pytest.raises(LongInterestError, match=message):
        Plan(["SASRec", "LongInterest"], ["ml-100k"], [1], ablations=["without text"], own_rows=rows).rows()


def test_settings_of_every_ablation_are_settings() -> None:
    known = yaml.safe_load(resource("properties", "LongInterest.yaml").read_text(encoding="utf-8"))
    for variant in (*variants.ABLATIONS, *variants.ROWS):
        if variant.model == variants.OWN:
            assert set(variant.settings) <= set(known), variant.name
            assert variant.settings or variant.change, variant.name


MORE = re.compile(r"# And (\d+) more trials of a search by")


def test_tuned_settings_are_settings_and_say_where_they_are_from() -> None:
    folder = resource("properties", "tuned")
    trials: dict[str, dict[str, int]] = {}
    for file in sorted(folder.glob("*/*.yaml")):
        model, text = file.parent.name, file.read_text(encoding="utf-8")
        dataset, _, protocol = file.stem.partition(".")
        assert protocol in ("", "seen-masked")
        metric = f"{protocol} NDCG@10".strip()
        head = re.match(rf"# {model} on {dataset}: best of (\d+) trials by validation {metric}, (0\.\d{{4}}) ", text)
        assert head and f"recbole-li tune --model {model} --dataset {dataset} --trials {head[1]} " in text, file
        assert "--protocol masked" in text or not protocol, file
        trials.setdefault(dataset, {})[file.parent.name + protocol] = int(head[1]) + sum(map(int, MORE.findall(text)))
        with command_line([]):
            config = make_config(model, "ml-100k")
        unknown = set(yaml.safe_load(text)) - known_keys(config)
        assert not unknown, file
    for numbers in trials.values():  # every other model gets as many as LongInterest, or more
        assert min(numbers.values()) >= numbers["LongInterest"]


def test_later_settings_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "dataset_configs/some.yaml": {"text_fields": ["title"], "MAX_ITEM_LIST_LENGTH": 5},
        "properties/tuned/GRU4Rec/some.yaml": {
            "MAX_ITEM_LIST_LENGTH": 30,
            "learning_rate": 0.1,
            "one_pass": False,
            "valid_metric": "MRR@10",
            "topk": [5],
        },
        "properties/tuned/LongInterest/some.yaml": {"text_dim": 99, "learning_rate": 0.5},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(content))
    real = variants.resource
    (tmp_path / "properties" / "LongInterest.yaml").write_text(real("properties", "LongInterest.yaml").read_text())
    for module in (variants, variants.sasrec_text_settings.__globals__):
        where = module if isinstance(module, dict) else vars(module)
        monkeypatch.setitem(where, "resource", lambda folder, name: tmp_path / folder / name)

    def settings(name: str, **given: Any) -> dict[str, Any]:
        return variants.settings_of(variants.variant_of(name), "some", given)[0]

    tuned = settings("GRU4Rec")
    assert (tuned["MAX_ITEM_LIST_LENGTH"], tuned["one_pass"], tuned["valid_metric"]) == (30, False, "NDCG@10")
    assert "topk" not in tuned  # a search's own, and the same for all models here
    assert settings("GRU4Rec", learning_rate=0.2)["learning_rate"] == 0.2
    assert settings("GRU4Rec@200", MAX_ITEM_LIST_LENGTH=7)["MAX_ITEM_LIST_LENGTH"] == 200
    assert settings("FDSA")["one_pass"] is True  # all that can are trained so
    assert "one_pass" not in settings("NARM")
    text = settings("SASRec+text")  # LongInterest's vectors, SASRec's settings
    assert (text["text_dim"], text["text_fields"], text.get("learning_rate")) == (99, ["title"], None)
    assert variants.settings_of(variants.variant_of("GRU4Rec"), "some", {})[1] == "tuned"
    given = {"learning_rate": 0.2, "one_pass": False, "epochs": 3}
    assert variants.settings_of(variants.variant_of("GRU4Rec"), "some", given)[1] == "tuned, 1 given otherwise"
    for name in ("GRU4Rec@50", "GRU4Rec averaged"):
        assert variants.settings_of(variants.variant_of(name), "some", {})[1] == "as tuned for GRU4Rec"
    assert variants.settings_of(variants.variant_of("NARM"), "some", {})[1] == "model's defaults"
    assert variants.settings_of(variants.variant_of("Pop"), "some", {})[1] == "nothing to tune"


def test_each_protocol_may_have_settings_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "properties" / "tuned" / "GRU4Rec"
    folder.mkdir(parents=True)
    (folder / "some.yaml").write_text("learning_rate: 0.1\n")
    monkeypatch.setattr(variants, "resource", lambda folder, name: tmp_path / folder / name)
    plan = Plan(["GRU4Rec", "GRU4Rec averaged"], ["some"], [1], given={"data_path": "dataset"})

    def planned() -> list[tuple[str, str, float]]:
        order = driver.order_of(plan)
        made = [cell for each in order for cell in driver.cells_of(plan, *each, tmp_path)]
        return [(cell.name, cell.protocol, cell.settings["learning_rate"]) for cell in driver.without_twins(made)[0]]

    assert planned() == [("GRU4Rec", "", 0.1), ("GRU4Rec averaged", "", 0.1)]
    (folder / "some.seen-masked.yaml").write_text("learning_rate: 0.2\n")
    both = [("native", 0.1), ("seen-masked", 0.2)]
    assert planned() == [(name, *each) for name in ("GRU4Rec", "GRU4Rec averaged") for each in both]
    (folder / "some.seen-masked.yaml").write_text("learning_rate: 0.1\n")
    assert [protocol for _, protocol, _ in planned()] == ["", ""]


def test_settings_tuned_on_another_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "properties" / "tuned" / "GRU4Rec"
    folder.mkdir(parents=True)
    (folder / "some.yaml").write_text("learning_rate: 0.1\n")
    (folder / "other.yaml").write_text("learning_rate: 0.2\n")
    (folder / "other.seen-masked.yaml").write_text("learning_rate: 0.3\n")
    monkeypatch.setattr(variants, "resource", lambda folder, name: tmp_path / folder / name)
    plan = Plan(["GRU4Rec", "NARM"], ["some"], [1], given={"data_path": "dataset"}, tuned_on="other")
    made = [cell for each in driver.order_of(plan) for cell in driver.cells_of(plan, *each, tmp_path)]
    assert [(cell.name, cell.settings.get("learning_rate"), cell.source) for cell in made] == [
        ("GRU4Rec", 0.2, "tuned on other"),
        ("GRU4Rec", 0.3, "tuned on other"),
        ("NARM", None, "model's defaults"),
    ]
    variants.check_tuned_on("other")
    with pytest.raises(
        LongInterestError, match=r"No model has tuned settings for ml-1m; there are some for other, some\."
    ):
        variants.check_tuned_on("ml-1m")


def test_a_row_is_run_once_and_rows_of_one_seed_are(tmp_path: Path) -> None:
    plan = Plan(["LongInterest", "GRU4Rec"], ["tiny"], [1, 2], once=["NARM", "GRU4Rec"], ablations=["without text"])
    assert [(variant.name, list(seeds)) for variant, seeds in plan.rows()] == [
        ("LongInterest", [1, 2]),
        ("GRU4Rec", [1, 2]),
        ("LongInterest, without text", [1, 2]),
        ("NARM", [1]),
    ]
    with pytest.raises(ValueError, match="There is no ablation 'without luck'; there are: without text, "):
        Plan(["LongInterest"], ["tiny"], [1], ablations=["without luck"]).rows()


def test_rows_that_are_another_row_are_not_run_twice(tmp_path: Path) -> None:
    plan = Plan(["GRU4Rec", "GRU4Rec@50", "GRU4Rec@200"], ["ml-100k"], [1, 2], given={"data_path": "dataset"})
    order = driver.order_of(plan)
    every = [driver.cell_of(plan, dataset, variant, seed, tmp_path, place) for dataset, variant, seed, place in order]
    kept, same = driver.without_twins(every)  # the tuned window is 200
    assert [(cell.name, cell.seed) for cell in kept] == [(n, s) for s in (1, 2) for n in ("GRU4Rec", "GRU4Rec@50")]
    assert same == ["GRU4Rec@200 equals GRU4Rec on ml-100k: they have the same settings."]
    kept, again = driver.without_twins(every[::-1])  # a baseline stays, whatever stands first
    assert {cell.name for cell in kept} == {"GRU4Rec", "GRU4Rec@50"} and again == same


def test_all_ablations_bring_the_rows_that_keep_a_win_honest() -> None:
    names, rows = all_ablations(["LongInterest", "SASRec"])
    assert {"random text", "shuffled rating", "without id", "window whole"} <= set(names)
    assert rows[:3] == ["LongInterest-ID", "SASRec+all", "GRU4Rec+all"]
    assert rows[3:] == ["SASRec+text", "SASRec averaged", "SASRec@50", "SASRec@200", "Pop", "Markov"]


def test_settings_are_read_as_recbole_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("learning_rate: 0.1\nepochs: 3\n")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    given = read_settings(["a.yaml"], ["--epochs=5", "--topk=[5]", "--data_path=data"])
    assert given == {"learning_rate": 0.1, "epochs": 5, "topk": [5], "data_path": str(tmp_path / "data")}
    with pytest.raises(ValueError, match=r"There is no config file b\.yaml"):
        read_settings(["b.yaml"], [])
    with pytest.raises(ValueError, match="compare sets seed itself; leave it out"):
        read_settings([], ["--seed=3"])


def test_the_file_of_a_data_set_chooses_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it says random order or a split by time, the usual table is in the order of the file all the same."""
    (tmp_path / "dataset_configs").mkdir()
    about = {"tie_order": "random", "tie_seed": 3, "split_by_time": [0.5, 0.9], "RATING_FIELD": "stars"}
    (tmp_path / "dataset_configs" / "some.yaml").write_text(yaml.safe_dump(about))
    monkeypatch.setattr(variants, "resource", lambda *parts: tmp_path.joinpath(*parts))
    gru = variants.variant_of("GRU4Rec")
    usual, _ = variants.settings_of(gru, "some", {})
    assert (usual["tie_order"], usual["tie_seed"], usual["split_by_time"]) == ("file", 0, None)
    assert usual["RATING_FIELD"] == "stars"
    other, _ = variants.settings_of(gru, "some", View("random", "time").settings({}, 2))
    assert (other["tie_order"], other["tie_seed"], other["split_by_time"]) == ("random", 2, [0.8, 0.9])
    assert "tie_order" not in variants.settings_of(gru, "ml-100k", {})[0]


def test_dataset_configs_hold_data_keys_only(cell: Callable[..., Any]) -> None:
    allowed = {"USER_ID_FIELD", "ITEM_ID_FIELD", "RATING_FIELD", "TIME_FIELD", "BEHAVIOR_FIELD", "load_col"}
    allowed |= {"text_fields", "text_template", "text_numbers", "val_interval", "rm_dup_inter"}
    allowed |= {"user_inter_num_interval", "item_inter_num_interval"}
    files = sorted(resource("dataset_configs", "").glob("*.yaml"))
    assert len(files) >= 3
    for file in files:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert content and set(content) <= allowed, file.name
        fields = content.get("load_col", {}).get("inter", [])
        for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "RATING_FIELD"):
            assert not fields or content.get(key, fields[0]) in fields, (file.name, key)


LAYOUTS = {
    "ml-1m": ("user_id item_id rating timestamp", "item_id movie_title:s release_year genre:s"),
    "amazon-beauty": ("user_id item_id rating timestamp", "item_id title sales_type sales_rank:f categories:s brand"),
    "yelp": ("review_id user_id business_id stars useful:f date", "business_id item_name:s city:s categories:s"),
    "steam": ("user_id play_hours:f product_id timestamp early_access", "app_name genres:s product_id tags:s"),
}
FLOATS = {"rating", "timestamp", "stars", "date"}


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_recboles_layouts_are_read_alike_by_all_models(
    name: str, write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, tmp_path: Path
) -> None:
    def header(columns: str) -> str:
        kinds = {"": "token", "s": "token_seq", "f": "float"}
        parts = [column.partition(":") for column in columns.split()]
        return "\t".join(f"{field}:{'float' if field in FLOATS else kinds[kind]}" for field, _, kind in parts)

    inter, item = LAYOUTS[name]

    def line(columns: str, user: int, event: int) -> str:
        values = {"user_id": f"u{user}", "timestamp": str(10**9 + event), "date": str(10**9 + event)}
        items = {field: f"i{(user + event) % 9}" for field in ("item_id", "business_id", "product_id")}
        fields = [column.partition(":")[0] for column in columns.split()]
        return "\t".join({**values, **items}.get(field, "3") for field in fields)

    events = [line(inter, user, event) for user in range(8) for event in range(5)]
    items = [line(item, 0, event) for event in range(9)]
    root = write_dataset(name, "\n".join([header(inter), *events]) + "\n", "\n".join([header(item), *items]) + "\n")
    found = []
    for model in ("LongInterest", "GRU4Rec"):
        settings, _ = variants.settings_of(variants.variant_of(model), name, {"data_path": str(root), "text_dim": 2})
        made = Cell(name, model, model, 1, settings, "", "", "", tmp_path / "out")
        dataset = data.make_dataset(made.config())
        found.append(data.fingerprint(dataset, dataset.build()))
        if model == "LongInterest":
            assert {"text", "time"} <= {*dataset.features.items, *dataset.features.events}
            assert ("rating" in dataset.features) == (name != "steam")
    assert found[0] == found[1] and (found[0].users, found[0].items, found[0].interactions) == (8, 9, 40)
