"""Several choices of the best epoch in one training."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.utils import early_stopping, get_model, get_trainer, init_seed

from recbole_longinterest.experiments.comparison.protocol import MASKED, metric_of
from recbole_longinterest.experiments.comparison.recorder import Recorder
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.runs import choices as choices_module
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.choices import Choices, criteria_of
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter

SETTINGS: dict[str, Any] = {
    "exact_order": True,
    "valid_metric": "NDCG@10",
    **{"embedding_size": 8, "hidden_size": 8, "epochs": 6, "train_batch_size": 64, "stopping_step": 2},
    **{"show_progress": False, "state": "ERROR", "metric_decimal_place": 12, "learning_rate": 0.02},
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
}


@pytest.fixture
def config(write_dataset: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    root = write_dataset("tiny", synthetic_inter())

    def make(folder: str = "saved", **more: Any) -> Any:
        own = {"data_path": str(root), "checkpoint_dir": str(tmp_path / folder), "resume": True}
        with command_line([]):
            return make_config("GRU4Rec", "tiny", config_dict={**SETTINGS, **own, **more})

    return make


def test_the_native_checkpoint_is_the_same_and_the_masked_one_is_of_its_best_epoch(config: Callable[..., Any]) -> None:
    epochs: list[dict[str, float]] = []
    both = pipeline.train(config(best_by=["seen-masked", "Recall@10"]), on_epoch=lambda _, line: epochs.append(line))
    plain = pipeline.train(config("plain"))
    own, alone = (load_checkpoint(each.trainer.saved_model_file) for each in (both, plain))
    assert own["epoch"] == alone["epoch"] and both.best_valid_score == plain.best_valid_score
    assert all(torch.equal(own["state_dict"][name], weights) for name, weights in alone["state_dict"].items())

    masked, recall = both.trainer.choices
    for choice, key in ((masked, "seen-masked"), (recall, "recall@10")):
        values = [line[key] for line in epochs]
        assert choice.score == max(values) and choice.epoch == len(values) - 1 - values[::-1].index(max(values))
    assert [line["seen-masked"] for line in epochs] != [line["ndcg@10"] for line in epochs]

    file = masked.criterion.file(Path(both.trainer.saved_model_file))
    assert load_checkpoint(file)["epoch"] == masked.epoch
    recorder = Recorder(both.valid_data, both.valid_data._dataset, 10)
    with recorder.watching(both.trainer):
        both.trainer.evaluate(both.valid_data, model_file=file)
    assert metric_of("ndcg", recorder.table()[MASKED].to_numpy(), 10).mean() == pytest.approx(masked.score, abs=1e-11)


def test_a_run_that_was_killed_makes_the_same_choices(config: Callable[..., Any]) -> None:
    given = {"best_by": ["seen-masked"]}
    whole = pipeline.train(config("whole", **given))
    for last in (1, 3):
        folder = f"killed-{last}"

        def killed(epoch: int, _: dict[str, float], last: int = last) -> None:
            if epoch == last:  # its checkpoints are written, its state is not
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pipeline.train(config(folder, **given), on_epoch=killed)
        again = pipeline.train(config(folder, **given))
        ended = pipeline.train(config(folder, **given))  # nothing is left to train
        for each in (again, ended):
            assert [choice.state() for choice in each.trainer.choices] == [
                choice.state() for choice in whole.trainer.choices
            ]
            files = [choice.criterion.file(Path(each.trainer.saved_model_file)) for choice in each.trainer.choices]
            kept = [choice.criterion.file(Path(whole.trainer.saved_model_file)) for choice in whole.trainer.choices]
            for one, other in zip(files, kept, strict=True):
                weights = load_checkpoint(other)["state_dict"]
                assert all(torch.equal(load_checkpoint(one)["state_dict"][name], weights[name]) for name in weights)


def follow(
    values: Sequence[Sequence[float]], patience: int, monkeypatch: pytest.MonkeyPatch, stop_by: str | None = None
) -> tuple[list[int | None], int]:
    """Best epoch of each row of values, the native one first, and the number of epochs, by RecBole's loop."""
    settings = {"best_by": ["seen-masked", "Recall@10"], "metrics": ["NDCG", "Recall"], "topk": [10]}
    monkeypatch.setattr(choices_module, "TargetRows", lambda loader: None)
    trainer = SimpleNamespace(config={**settings, "valid_metric": "NDCG@10"}, saved_model_file="x.pth", stop_by=stop_by)
    choices, best, waited, chosen, epoch = Choices(trainer, [1], saved=False), -float("inf"), 0, None, 0  # type: ignore[arg-type]
    stopping = choices.stopping(early_stopping, lambda: epoch)
    for epoch in range(len(values[0])):
        for choice, row in zip(choices.choices, values[1:], strict=True):
            choice.latest = row[epoch]
        best, waited, stop, better = stopping(values[0][epoch], best, waited, max_step=patience, bigger=True)
        chosen = epoch if better else chosen
        if stop:
            break
    return [chosen, *(choice.epoch for choice in choices.choices)], epoch + 1


def test_one_choice_may_stop_the_training(config: Callable[..., Any]) -> None:
    given = {"best_by": ["seen-masked"], "epochs": 40, "learning_rate": 0.1, "stopping_step": 1}
    lines: dict[str, list[float]] = {"native": [], "seen-masked": []}
    for name, key in (("native", "valid_score"), ("seen-masked", "seen-masked")):
        values = lines[name]
        pipeline.train(
            config(name, **given), on_epoch=lambda _, line, key=key, to=values: to.append(line[key]), stop_by=name
        )
        assert len(values) == alone(values, 1)[1] < 40


def alone(values: Sequence[float], patience: int) -> tuple[int | None, int]:
    """Best epoch of a training that these values alone stop, and its number of epochs."""
    best, waited, chosen, epoch = -float("inf"), 0, None, 0
    for epoch, value in enumerate(values):
        best, waited, stop, better = early_stopping(value, best, waited, max_step=patience, bigger=True)
        chosen = epoch if better else chosen
        if stop:
            break
    return chosen, epoch + 1


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_each_choice_is_that_of_a_training_which_it_alone_stops(patience: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(5)
    for _ in range(200):
        values = torch.randint(0, 9, (3, 12), generator=generator).tolist()
        chosen, epochs = follow(values, patience, monkeypatch)
        expected = [alone(row, patience) for row in values]
        assert chosen == [best for best, _ in expected]
        assert epochs == max(number for _, number in expected)
        for place, name in enumerate(("native", "seen-masked", "recall@10")):
            assert follow(values, patience, monkeypatch, name)[1] == expected[place][1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "best_by must be a list of texts"),
        (["seen-masked GAUC"], "must be one of ndcg, recall, mrr, hit, precision with @K; got 'gauc'"),
        (["Recall@7"], r"a metric that is evaluated .*got 'recall@7'. Add it to metrics and topk"),
        (["masked"], "must name seen-masked or a metric that is evaluated"),
    ],
)
def test_what_cannot_choose_is_refused(config: Callable[..., Any], given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(best_by=given)


def test_a_valid_metric_that_has_no_masked_form_is_refused(config: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"valid_metric must be one of ndcg, .* for best_by: seen-masked; got MAP@10"):
        config(best_by=["seen-masked"], metrics=["MAP"], valid_metric="MAP@10")


def test_choices_are_read(config: Callable[..., Any]) -> None:
    found = criteria_of(config(best_by=["seen-masked", "seen-masked Recall@7", "MRR@10"], valid_metric="MRR@10"))
    assert [(each.metric, each.masked) for each in found] == [("mrr@10", True), ("recall@7", True), ("mrr@10", False)]
    names = [each.file(Path("a/b.pth")).name for each in found]
    assert names == ["b.seen-masked.pth", "b.seen-masked-recall@7.pth", "b.mrr@10.pth"]
    for text in (
        "[seen-masked,Recall@10]",
        "['seen-masked', 'Recall@10']",
        "seen-masked, Recall@10",
    ):  # a command line's
        assert [each.name for each in criteria_of(config(best_by=text))] == ["seen-masked", "recall@10"]
    assert criteria_of(config()) == [] and criteria_of(config(best_by="seen-masked"))[0].masked


def test_a_smaller_value_may_be_better(config: Callable[..., Any]) -> None:
    settings = config(best_by=["AveragePopularity@10"], metrics=["NDCG", "AveragePopularity"], epochs=4)
    epochs: list[dict[str, float]] = []
    trained = pipeline.train(settings, on_epoch=lambda _, line: epochs.append(line))
    assert trained.trainer.choices[0].score == min(line["averagepopularity@10"] for line in epochs)


def test_recboles_own_loop_keeps_them_too(config: Callable[..., Any]) -> None:
    settings = config(best_by=["seen-masked"], epochs=2, resume=False)
    init_seed(settings["seed"], settings["reproducibility"])
    train_data, valid_data, _ = data_preparation(settings, create_dataset(settings))
    model = get_model("GRU4Rec")(settings, train_data._dataset)
    trainer = get_trainer(settings["MODEL_TYPE"], "GRU4Rec")(settings, model)
    trainer.fit(train_data, valid_data, verbose=False)
    assert "_valid_epoch" not in vars(trainer) and not any(name.startswith("_full") for name in vars(trainer))
    files = sorted(path.name.split(".")[-2] for path in Path(settings["checkpoint_dir"]).glob("*.pth"))
    assert len(files) == 2 and files.count("seen-masked") == 1
    assert len(list(itertools.chain(trainer.choices))) == 1


def test_data_without_histories_are_refused_before_training(config: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="seen-masked protocol needs the histories of the flat log"):
        pipeline.train(config(best_by=["seen-masked"], exact_order=None))
