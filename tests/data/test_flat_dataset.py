"""``lean_sequences``: every sequential model of RecBole on the flat log, batch by batch and over an epoch."""

import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recbole.data.utils
import recbole.model.sequential_recommender
import torch
from recbole.data.dataset import SequentialDataset
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.lookup import flat_class
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter, synthetic_item

INTER = ["user_id", "item_id", "rating", "timestamp"]
ITEM_FEATURES = {"load_col": {"inter": INTER, "item": ["item_id", "class"]}}
CLICKS = {  # DIN and DIEN: labels for positives and sampled negatives
    "load_col": {"inter": INTER, "item": ["item_id", "class"]},
    "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1, "dynamic": False, "candidate_num": 0},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni5"},
    "metrics": ["AUC"],
    "valid_metric": "AUC",
}
GRAPH: dict[str, Any] = {
    "load_col": {
        "inter": INTER,
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
        "ent": ["ent_id", "ent_emb"],
        "rel": ["rel_id", "rel_emb"],
    },
    "additional_feat_suffix": ["ent", "rel"],
    "alias_of_item_id": ["ent_id"],
    "alias_of_relation_id": ["rel_id"],
    "preload_weight": {"ent_id": "ent_emb", "rel_id": "rel_emb"},
    "embedding_size": 8,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
}
OWN: dict[str, dict[str, Any]] = {
    "DIN": CLICKS,
    "DIEN": CLICKS,
    "FDSA": ITEM_FEATURES,
    "GRU4RecF": ITEM_FEATURES,
    "SASRecF": ITEM_FEATURES,
    "S3Rec": {**ITEM_FEATURES, "pretrain_epochs": 1, "save_step": 1},
    "GRU4RecCPR": {"reranker_CAN_NUM": 5},
    "SASRecCPR": {"reranker_CAN_NUM": 5},
    "FPMC": {"loss_type": "BPR"},
    "TransRec": {"loss_type": "BPR", "strict_keys": False},  # its yaml does not name it
    "KSR": {**GRAPH, "kg_embedding_size": 8},
    "GRU4RecKG": GRAPH,
}
BPR = {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1, "dynamic": False, "candidate_num": 0}}


def sequential_models() -> list[str]:
    """Class names of RecBole's sequential models, from what is installed."""
    package = recbole.model.sequential_recommender
    modules = [name for _, name, _ in pkgutil.iter_modules(package.__path__)]
    return sorted(name for name in dir(package) if name.lower() in modules and isinstance(getattr(package, name), type))


@pytest.fixture
def model_config(write_dataset: Callable[..., Path]) -> Callable[..., Any]:
    """Config of a small run of any sequential model."""

    def make(model: str, **settings: Any) -> Any:
        root = write_dataset("tiny", synthetic_inter(), synthetic_item())
        _write_graph(root / "tiny")
        own = {"load_col": {"inter": INTER}, "train_neg_sample_args": None, **OWN.get(model, {})}
        if own.get("loss_type") == "BPR":
            own |= BPR
        small = {"MAX_ITEM_LIST_LENGTH": 8, "epochs": 1, "show_progress": False, "state": "ERROR", "eval_step": 1}
        return make_config(
            model, "tiny", config_dict={**small, "data_path": str(root), "normalize_all": True, **own, **settings}
        )

    return make


def _write_graph(folder: Path, items: int = 20, dim: int = 8) -> None:
    rng = np.random.default_rng(0)
    numbers = [" ".join(f"{x:.3f}" for x in row) for row in rng.standard_normal((items, dim))]
    files = {
        "kg": ["head_id:token\trelation_id:token\ttail_id:token"]
        + [f"e{i}\tr{i % 3}\te{(i + 1) % items}" for i in range(items)],
        "link": ["item_id:token\tentity_id:token"] + [f"i{i}\te{i}" for i in range(items)],
        "ent": ["ent_id:token\tent_emb:float_seq"] + [f"i{i}\t{numbers[i]}" for i in range(items)],
        "rel": ["rel_id:token\trel_emb:float_seq"] + [f"r{i}\t{numbers[i]}" for i in range(3)],
    }
    for suffix, lines in files.items():
        (folder / f"tiny.{suffix}").write_text("\n".join(lines) + "\n")


def epoch(config: Any) -> tuple[Any, dict[str, Any]]:
    """Data set parts, and what an epoch of training gives."""
    init_seed(config["seed"], True)
    dataset = recbole.data.utils.create_dataset(config)
    loaders = recbole.data.utils.data_preparation(config, dataset)
    batches = [{field: batch[field] for field in batch.columns} for batch in loaders[0]]
    init_seed(config["seed"], True)
    model = get_model(config["model"])(config, loaders[0]._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(loaders[0], loaders[1], saved=False, show_progress=False)
    return [loader._dataset for loader in loaders], {"batches": batches, "losses": dict(trainer.train_loss_dict)}


@pytest.mark.filterwarnings("ignore")  # of RecBole's models, about their own code
@pytest.mark.parametrize("model", sequential_models())
def test_every_sequential_model_trains_alike_on_the_flat_log(model_config: Callable[..., Any], model: str) -> None:
    theirs, expected = epoch(model_config(model))
    ours, got = epoch(model_config(model, lean_sequences=True))
    assert isinstance(theirs[0], SequentialDataset) and not isinstance(theirs[0], FlatSequentialDataset)
    assert [type(part.inter_feat) for part in ours] == [LogRows] * 3
    assert len(expected["batches"]) == len(got["batches"])
    for their, our in zip(expected["batches"], got["batches"], strict=True):
        assert their.keys() == our.keys()
        for field in their:
            assert torch.equal(their[field], our[field]) and their[field].dtype == our[field].dtype, field
    assert expected["losses"] == got["losses"]


def test_there_are_as_many_models_as_the_package_has() -> None:
    assert len(sequential_models()) >= 30


def test_exact_order_is_the_users_choice(model_config: Callable[..., Any]) -> None:
    assert not recbole.data.utils.create_dataset(model_config("GRU4Rec", lean_sequences=True)).exact_order
    assert recbole.data.utils.create_dataset(model_config("GRU4Rec", exact_order=True)).exact_order
    assert type(recbole.data.utils.create_dataset(model_config("GRU4Rec", lean_sequences=False))) is SequentialDataset


@pytest.mark.parametrize("key", ["lean_sequences", "one_pass"])
def test_switches_are_checked(model_config: Callable[..., Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} must be True or False; got 'perhaps'"):
        recbole.data.utils.create_dataset(model_config("GRU4Rec", **{key: "perhaps"}))


def test_a_data_set_with_rows_of_its_own_has_no_lean_form() -> None:
    class OwnDataset(SequentialDataset):
        pass

    with pytest.raises(ValueError, match="OwnDataset builds its own rows and has no version over the flat log"):
        flat_class(OwnDataset)


def test_unused_columns_are_dropped_from_rows_and_histories(model_config: Callable[..., Any]) -> None:
    unused = {"inter": ["rating", "timestamp_list"]}
    config = model_config("GRU4Rec", unused_col=unused)
    their = next(iter(recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))[0]))
    config = model_config("GRU4Rec", unused_col=unused, lean_sequences=True)
    our = next(iter(recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))[0]))
    assert set(their.columns) == set(our.columns)
    assert "rating" not in our and "timestamp_list" not in our and "rating_list" in our


@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_give_the_same_batches(model_config: Callable[..., Any], workers: int) -> None:
    batches = []
    for number in (0, workers):
        config = model_config("GRU4Rec", lean_sequences=True, one_pass=True, worker=number)
        train = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))[0]
        batches.append([batch["item_id_list"] for batch in train])
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))
