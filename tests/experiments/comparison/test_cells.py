"""A cell's files: ranks of every target, RecBole's own figures, the manifest."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.experiments.comparison import cells, slices
from recbole_longinterest.experiments.comparison import protocol as protocol_of
from recbole_longinterest.experiments.comparison.cell import FAILED, Cell, rows_file
from recbole_longinterest.experiments.comparison.cells import run_cell
from recbole_longinterest.experiments.comparison.checks import check_plan
from recbole_longinterest.experiments.comparison.data import DataMismatch, Fingerprint, make_dataset
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.recorder import Recorder
from recbole_longinterest.experiments.comparison.split import SplitCheck
from recbole_longinterest.experiments.epochs import add_epoch, read_epochs
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter
from tests.plugin.baselines.conftest import NEURAL


def ranks_of(cell: Cell) -> pd.DataFrame:
    return pd.read_parquet(cell.folder / "ranks.parquet")


@pytest.mark.parametrize("name", ["GRU4Rec", "LongInterest", *NEURAL])
def test_native_figures_are_those_of_a_plain_run(cell: Callable[..., Cell], name: str) -> None:
    own = cell(name, run=True, metric_decimal_place=12, topk=[3, 10], MAX_ITEM_LIST_LENGTH=5)
    result = own.result()
    assert result is not None and result["status"] == cells.FINISHED and result["tie_share"] == 0
    with command_line(()):
        config = make_config(
            name, "tiny", (), {**own.settings, "seed": 1, "show_progress": False, "strict_keys": False}
        )
    plain = pipeline.run(config)
    for metric, value in plain.test_result.items():
        assert result["metrics"]["native"][metric] == pytest.approx(value, abs=1e-11), metric
    assert result["validation"]["score"] == plain.best_valid_score


def test_the_mask_covers_the_whole_history_and_never_the_target(cell: Callable[..., Cell]) -> None:
    own = cell("Pop", run=True, MAX_ITEM_LIST_LENGTH=2)  # what a model reads does not limit the mask
    ranks = ranks_of(own).set_index("user")
    log: dict[str, list[str]] = {}
    for line in synthetic_inter().splitlines()[1:]:
        user, item, *_ = line.split("\t")
        log.setdefault(user, []).append(item)
    counts: dict[str, int] = {f"i{item}": 0 for item in range(20)}
    for items in log.values():
        for item in items[:-2] if len(items) > 3 else items[:-1]:
            counts[item] += 1
    known = {item for items in log.values() for item in items}
    for user, items in log.items():
        *seen, target = items
        others = known - {target}
        for protocol, among in (("native", others), ("seen-masked", others - set(seen))):
            higher = sum(counts[item] > counts[target] for item in among)
            equal = sum(counts[item] == counts[target] for item in among)
            assert ranks.loc[user, protocol] == 1 + higher + equal / 2, (user, protocol)


def test_each_protocol_ranks_with_the_epoch_that_it_chose(cell: Callable[..., Cell]) -> None:
    settings = {"epochs": 12, "learning_rate": 0.05, "metric_decimal_place": 12, "best_by": ["Recall@10"], "topk": [10]}
    own = cell("GRU4Rec", run=True, **settings)
    result, epochs = own.result(), read_epochs(own.folder)
    assert result is not None
    chosen = result["choices"]
    assert set(chosen) == {"native", "seen-masked", "recall@10"} and result["further"].keys() == {"recall@10"}
    for name, key in (("native", "valid_score"), ("seen-masked", "seen-masked"), ("recall@10", "recall@10")):
        best = max(line[key] for line in epochs)
        assert chosen[name]["score"] == best and epochs[chosen[name]["epoch"] - 1][key] == best
    assert chosen["native"]["epoch"] != chosen["seen-masked"]["epoch"]  # or this test shows nothing
    assert result["validation"]["score"] == chosen["native"]["score"]

    ranks = ranks_of(own)
    for protocol in ("native", "seen-masked"):
        values = protocol_of.metric_of("ndcg", ranks[protocol].to_numpy(), 10)
        assert values.mean() == pytest.approx(result["metrics"][protocol]["ndcg@10"])
        assert set(result["errors"][protocol]) == {
            f"{name}@10" for name in ("itemcoverage", "giniindex", "averagepopularity", "tailpercentage")
        }
    config = own.config()
    split = SplitCheck(own.dataset, own.name, own.model)
    trained = pipeline.train(config, dataset=make_dataset(config, own.change, split))
    stem = next(own.folder.glob("*.seen-masked.pth"))
    recorder = Recorder(trained.test_data, split.parts[0], 10)
    with recorder.watching(trained.trainer):
        trained.trainer.evaluate(trained.test_data, model_file=stem)
    assert np.array_equal(recorder.table()["seen-masked"], ranks["seen-masked"])
    assert not np.array_equal(recorder.table()["native"], ranks["native"])


def test_a_metric_of_numpys_is_kept_too(cell: Callable[..., Cell]) -> None:
    own = cell("GRU4Rec", run=True, metrics=["NDCG", "GAUC"], epochs=1)
    result = own.result()
    assert result is not None and result["status"] == "finished", result
    assert "gauc" in read_epochs(own.folder)[0]


def test_slices_describe_the_rows(cell: Callable[..., Cell]) -> None:
    own = cell("Pop", run=True)
    result = own.result()
    assert result is not None
    rows = pd.read_parquet(rows_file(own, result["data"]))
    log: dict[str, list[str]] = {}
    for line in synthetic_inter().splitlines()[1:]:
        user, item, *_ = line.split("\t")
        log.setdefault(user, []).append(item)
    for row in rows.itertuples():
        *seen, target = log[row.user]
        assert (row.item, row.history, row.repeat) == (target, len(seen), target in seen)
    assert ((rows["popularity"] == "cold") == (rows["train_events"] == 0)).all()
    assert rows["drift"].dropna().between(0, 2).all() and rows["drift"].notna().any()
    parts = slices.slices_of(rows)
    for kind in ("history", "target", "repeat"):
        assert sum(mask.sum() for mask in parts[kind].values()) == len(rows)


def test_cold_items_are_ranked_among_all_and_among_themselves(cell: Callable[..., Cell]) -> None:
    lines = synthetic_inter().splitlines()
    lines += [f"u{user}\tnew{user % 2}\t3\t2000000000" for user in range(8)]  # as last event alone: never in training
    own = cell("GRU4Rec", run=True, inter="\n".join(lines) + "\n", topk=[1, 10])
    result = own.result()
    assert result is not None
    ranks = ranks_of(own)
    cold = ranks["item"].str.startswith("new")
    assert cold.sum() == 8 and ranks["among_cold"].notna().equals(cold)
    assert (ranks["among_cold"][cold] <= ranks["native"][cold]).all()
    found = result["metrics"]["native"]
    assert found["cold_recall@10"] == (ranks["native"][cold] <= 10).mean()
    assert found["cold_recall_among_cold@10"] == (ranks["among_cold"][cold] <= 10).mean()


@pytest.mark.parametrize("mode", ["uni10", "pop10"])
def test_sampled_candidates_are_the_same_for_all_models(cell: Callable[..., Cell], mode: str) -> None:
    evaluation = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": mode}
    results = [
        cell(name, run=True, eval_args=evaluation).result() for name in ("GRU4Rec", "LongInterest", "Markov", "STAN")
    ]
    assert all(result is not None and result["candidates"] for result in results)
    assert len({result["candidates"] for result in results if result}) == 1
    assert ranks_of(cell("GRU4Rec", eval_args=evaluation))["native"].max() <= 11


def test_a_split_by_global_time_is_compared_as_well(cell: Callable[..., Cell]) -> None:
    evaluation = {"split": {"TS": [0.7, 0.1, 0.2]}, "order": "TO", "mode": "full"}
    own, other = (cell(name, run=True, eval_args=evaluation) for name in ("GRU4Rec", "LongInterest"))
    ranks = ranks_of(own)
    assert ranks["user"].duplicated().any()  # several targets a user
    columns = ["user", "history", "item"]
    assert ranks[columns].equals(ranks_of(other)[columns])


def test_the_manifest_says_what_made_it(cell: Callable[..., Cell]) -> None:
    result = cell("Pop", run=True).result()
    assert result is not None
    manifest = result["manifest"]
    assert {"tiny.inter", "tiny.item"} == set(manifest["files"]) and manifest["versions"]["recbole"] == "1.2.1"
    assert manifest["config"]["MAX_ITEM_LIST_LENGTH"] == 50 and len(result["data"]["split"]) == 64
    assert 0 < result["tie_share"] <= 1 and result["peak_memory_mb"] > 100


def test_other_data_than_expected_stops_before_training(cell: Callable[..., Cell]) -> None:
    own = cell("GRU4Rec")
    own.folder.mkdir(parents=True)
    with pytest.raises(DataMismatch, match="interactions is"):
        run_cell(own, Fingerprint(30, 20, 1, (1, 1, 1), ""))
    assert not list(own.folder.glob("*.pth"))


def test_a_killed_cell_goes_on(cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    own, whole = cell("GRU4Rec", epochs=3), cell("GRU4Rec", run=True, epochs=3, hidden_dropout_prob=0)
    real = cells.add_epoch

    def killed(folder: object, line: dict[str, float]) -> None:
        real(own.folder, line)
        if line["epoch"] == 2:
            raise Killed

    monkeypatch.setattr(cells, "add_epoch", killed)
    own.folder.mkdir(parents=True)
    with pytest.raises(Killed):
        run_cell(own)
    monkeypatch.setattr(cells, "add_epoch", real)
    assert list(own.folder.glob("*.pth.last"))
    run_cell(own)
    assert np.array_equal(ranks_of(own)["native"], ranks_of(whole)["native"])
    assert not list(own.folder.glob("*.pth.last"))


def test_features_come_from_the_column_of_classes(cell: Callable[..., Cell]) -> None:
    config = cell("SASRecF").config()
    assert config["selected_features"] == ["class"] and config["load_col"]["item"] == ["item_id", "class"]
    config = cell("SASRecF", selected_features=["title"]).config()
    assert config["selected_features"] == ["title"] and config["load_col"]["item"] == ["item_id", "title"]
    assert cell("SASRecF", load_col=None).config()["load_col"] is None


def test_what_a_general_model_cannot_be_compared_by_is_refused(cell: Callable[..., Cell]) -> None:
    with pytest.raises(ValueError, match="BPR, a general model, cannot use the events of other behaviours"):
        cell("BPR", target_behavior="buy").config()


@pytest.mark.parametrize("name", ["BPR", "GRU4Rec"])
def test_coverage_and_the_like_may_be_asked_of_recbole_too(
    cell: Callable[..., Cell], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"metrics": ["NDCG", "ItemCoverage", "AveragePopularity"], "epochs": 2}
    result = cell(name, run=True, **asked).result()
    assert result is not None and result["status"] == cells.FINISHED
    killed = cell(name, seed=2, **asked)  # in its test, all epochs done
    killed.folder.mkdir(parents=True)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cells, "rank_choices", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        run_cell(killed)
    run_cell(killed)
    assert (killed.result() or {})["epochs"] == 2


def test_what_is_wrong_with_one_row_names_it(cell: Callable[..., Cell]) -> None:
    cells = [cell("GRU4Rec"), cell("SASRec", valid_metric="ItemCoverage@10")]
    with pytest.raises(ValueError, match=r"^SASRec: valid_metric must be one of"):
        check_plan(Plan(["GRU4Rec", "SASRec"], ["tiny"], [1]), cells)
    with pytest.raises(ValueError, match=r"^valid_metric must be one of"):  # of all
        check_plan(Plan(["SASRec"], ["tiny"], [1]), cells[1:])


def test_a_split_without_validation_is_refused(cell: Callable[..., Cell]) -> None:
    split = {"split": {"LS": "test_only"}, "order": "TO", "mode": "full"}
    with pytest.raises(ValueError, match="The split has no validation row; check eval_args"):
        cell("GRU4Rec", run=True, eval_args=split)


def test_epochs_of_models_whose_rows_recbole_transforms_are_kept(
    cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """BERT4Rec's transform writes names into the config once the loaders are made: the checkpoint is still found."""
    own, real = cell("BERT4Rec", epochs=3, n_layers=1, inner_size=8, n_heads=1), cells.add_epoch
    own.folder.mkdir(parents=True)

    def killed(folder: object, line: dict[str, float]) -> None:
        real(own.folder, line)
        if line["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cells, "add_epoch", killed)
        run_cell(own)
    run_cell(own)
    assert (own.result() or {})["epochs"] == 3


@pytest.mark.parametrize("name", ["BPR", "EASE"])
def test_a_general_model_runs_on_the_same_rows(cell: Callable[..., Cell], name: str) -> None:
    result = cell(name, run=True).result()
    assert result is not None and result["status"] == cells.FINISHED
    assert result["data"] == cell("GRU4Rec", run=True).result()["data"]
    assert (result["epochs"] == 1) or name == "BPR"


def test_a_general_model_learns_from_first_events_too(cell: Callable[..., Cell]) -> None:
    own = cell("ItemKNN")
    config = own.config()
    split = SplitCheck(own.dataset, own.name, own.model)
    dataset = make_dataset(config, on_split=split)
    train = dataset.build()[0]
    pairs = list(zip(train.inter_feat["user_id"].tolist(), train.inter_feat["item_id"].tolist(), strict=True))
    log: dict[str, list[str]] = {}
    for line in synthetic_inter().splitlines()[1:]:
        user, item, *_ = line.split("\t")
        log.setdefault(user, []).append(item)
    expected = [
        (dataset.token2id("user_id", user), dataset.token2id("item_id", item))
        for user, items in log.items()
        for item in (items[:-2] if len(items) > 3 else items[:-1])
    ]
    assert sorted(pairs) == sorted(expected)
    assert len(split.parts[0]) == len(pairs) - len(log)
    assert train.inter_matrix().sum() == len(pairs)


def test_a_finished_cell_of_other_defaults_or_data_is_told(cell: Callable[..., Cell]) -> None:
    own = cell("Markov", run=True)
    settings = dict(own.config().final_config_dict)
    result = own.result()
    assert result is not None
    files = result["manifest"]["files"]
    found = Fingerprint(**{**result["data"], "rows": tuple(result["data"]["rows"])})
    assert own.differs(settings, files, found) == ""
    assert own.differs({**settings, "epochs": 300, "seed": 9}, files, found) == "epochs was 1 and is 300"
    assert own.differs({**settings, "checkpoint_dir": "elsewhere", "gpu_id": 3}, files, found) == ""
    assert own.differs(settings, {**files, "tiny.item": "0"}, found) == "tiny.item has changed"
    assert own.differs(settings, {**files, "vectors.npy": "0"}, found) == "vectors.npy has changed"
    assert own.differs(settings, files, replace(found, users=9)) == "its data was different"
    own.end(FAILED, error="none")
    assert own.differs({**settings, "epochs": 300}, files, found) == ""  # it runs again anyway


def test_epochs_of_a_training_that_is_not_gone_on_with_are_forgotten(cell: Callable[..., Cell]) -> None:
    own = cell("GRU4Rec")
    own.folder.mkdir(parents=True)
    add_epoch(own.folder, {"epoch": 7, "seconds": 9.0, "valid_score": 0.5})
    run_cell(own)
    result = own.result()
    assert result is not None and result["epochs"] == 1
