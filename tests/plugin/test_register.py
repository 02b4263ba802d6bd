"""Registration: RecBole's own code finds the plugin, and RecBole's own models see nothing of it."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from recbole.config import Config

from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from recbole_longinterest.plugin import register
from recbole_longinterest.plugin.fixes.plugin_settings import negatives_follow_loss_type
from tests.conftest import synthetic_inter, synthetic_item

Python = Callable[..., CompletedProcess[str]]


def test_defaults_come_from_the_yaml_files_in_recboles_order(tmp_path: Path) -> None:
    config = Config("LongInterest", "ml-100k")
    assert config["text_fields"] == ["movie_title", "class", "release_year"]  # dataset_configs/ml-100k.yaml
    assert config["hidden_size"] == 128 and config["valid_metric"] == "NDCG@10"  # properties/LongInterest.yaml
    assert config["normalize_all"] is True  # RecBole's ml-100k.yaml
    assert config["eval_args"]["split"] == {"LS": "valid_and_test"}  # RecBole's sequential.yaml
    file = tmp_path / "my.yaml"
    file.write_text("hidden_size: 32\nnum_layers: 2\nembedding_size: 16\n")
    config = Config("LongInterest", "ml-100k", [str(file)], {"num_layers": 3, "embedding_size": 24})
    assert (config["hidden_size"], config["num_layers"], config["embedding_size"]) == (32, 3, 24)


def test_negatives_follow_the_loss_unless_set() -> None:
    assert Config("LongInterest", "ml-100k")["train_neg_sample_args"]["distribution"] == "none"
    bpr = Config("LongInterest", "ml-100k", config_dict={"loss_type": "BPR"})
    assert bpr["train_neg_sample_args"]["distribution"] == "uniform"
    for loss, drawn in (
        ("bpr", "uniform"),
        ("ce", "none"),
        ("nope", "none"),
    ):  # an unknown one is the model's to refuse
        config = Config("LongInterest", "ml-100k", config_dict={"loss_type": loss})
        assert config["train_neg_sample_args"]["distribution"] == drawn
    popular = {"distribution": "popularity", "sample_num": 1}
    config = Config("LongInterest", "ml-100k", config_dict={"loss_type": "BPR", "train_neg_sample_args": popular})
    assert config["train_neg_sample_args"]["distribution"] == "popularity"
    with pytest.raises(ValueError, match="train_neg_sample_args"):
        Config("GRU4Rec", "ml-100k")  # RecBole's own refusal stays RecBole's own
    with negatives_follow_loss_type():
        assert Config("GRU4Rec", "ml-100k")["train_neg_sample_args"]["distribution"] == "none"


def test_a_data_set_that_recbole_does_not_know_is_loaded_with_its_times() -> None:
    ours = {"train_neg_sample_args": None}
    assert Config("GRU4Rec", "unknown", config_dict=ours)["load_col"]["inter"] == ["user_id", "item_id", "timestamp"]
    named = Config("GRU4Rec", "unknown", config_dict={**ours, "TIME_FIELD": "when"})
    assert named["load_col"]["inter"] == ["user_id", "item_id", "when"]
    asked = {"inter": ["user_id", "item_id"]}
    assert Config("GRU4Rec", "unknown", config_dict={**ours, "load_col": asked})["load_col"] == asked
    assert Config("BPR", "unknown")["load_col"] == asked  # as in RecBole
    assert Config("GRU4Rec", "ml-100k", config_dict=ours)["load_col"]["inter"] == [
        *("user_id", "item_id", "rating", "timestamp")
    ]


def test_columns_named_by_a_field_are_loaded(tmp_path: Path) -> None:
    named = Config("LongInterest", "unknown", config_dict={"RATING_FIELD": "score", "USER_ID_FIELD": "who"})
    assert named["load_col"]["inter"] == ["who", "item_id", "score", "timestamp", "behavior"]
    asked = {"inter": ["who", "item_id", "timestamp"]}
    given = Config("LongInterest", "unknown", config_dict={"RATING_FIELD": "score", "load_col": asked})
    assert given["load_col"] == asked


def test_config_of_recboles_models_stays_recboles_own(python: Python) -> None:
    """Key by key, against a process without the plugin that has numpy's missing names only."""
    code = """
import json, sys, numpy as np
if sys.argv[1] == "plain":
    np.float_, np.complex_, np.unicode_ = np.float64, np.complex128, np.str_
else:
    import recbole_longinterest
from recbole.config import Config
sys.argv = sys.argv[:1]
for model, dataset in (("GRU4Rec", "ml-100k"), ("SASRec", "ml-100k"), ("BPR", "ml-100k")):
    settings = {} if model == "BPR" else {"train_neg_sample_args": None}
    config = Config(model, dataset, config_dict=settings)
    print(json.dumps({k: str(v) for k, v in config.final_config_dict.items()}))
"""
    plain, ours = (
        python("import warnings; warnings.simplefilter('ignore')\n" + code, name).stdout for name in ("plain", "ours")
    )
    assert plain == ours and plain.count("\n") == 3


def test_recboles_lookups_find_the_plugin(small_config: Callable[..., Config]) -> None:
    from recbole.data import create_dataset
    from recbole.utils import ModelType, get_model, get_trainer

    assert get_model("LongInterest").__name__ == "LongInterest"
    assert get_trainer(ModelType.SEQUENTIAL, "LongInterest").__name__ == "LongInterestTrainer"
    assert get_trainer(ModelType.SEQUENTIAL, "GRU4Rec").__name__ == "Trainer"
    assert type(create_dataset(small_config())) is LongInterestDataset


def test_registering_again_changes_nothing() -> None:
    import recbole.data.utils
    from recbole.utils.argument_list import dataset_arguments

    before = (Config._load_internal_config_dict, recbole.data.utils.get_dataloader, list(dataset_arguments))
    register.register()
    assert before == (Config._load_internal_config_dict, recbole.data.utils.get_dataloader, list(dataset_arguments))
    assert len(dataset_arguments) == len(set(dataset_arguments))


def test_import_is_light(python: Python) -> None:
    heavy = "[name for name in ('ray', 'transformers', 'recbole.quick_start') if name in sys.modules]"
    assert python(f"import sys, recbole_longinterest; print({heavy})").stdout.strip() == "[]"


def test_spawned_processes_know_the_model(python: Python, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(
        "import recbole_longinterest, recbole_longinterest.plugin.register\n"
        "from recbole.utils import get_model\n"
        "def name(i):\n    recbole_longinterest.plugin.register.register()\n"
        "    return get_model('LongInterest').__name__\n"
    )
    code = """
import multiprocessing, child
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(child.name, range(2)))
"""
    (tmp_path / "main.py").write_text(code)
    done = python("import runpy; runpy.run_path('main.py', run_name='__main__')", cwd=tmp_path)
    assert done.stdout.strip() == "['LongInterest', 'LongInterest']"


def test_trains_on_cached_text_without_ray_and_transformers(
    python: Python, write_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    settings = f"""{{"data_path": {str(root)!r}, "text_fields": ["title"], "text_dim": 4, "epochs": 1,
        "show_progress": False, "state": "ERROR"}}"""
    train = f"""
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
result = pipeline.run(make_config("LongInterest", "tiny", config_dict={settings}))
print(result.test_result["ndcg@10"])
"""
    # The real encoder's identity is known without loading it, so a first run with it fills the cache.
    first = python(train, cwd=tmp_path)
    block = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ray", "transformers"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""
    second = python(block + train, cwd=tmp_path)
    assert first.stdout.split()[-1] == second.stdout.split()[-1]


def test_a_saved_dataset_made_with_other_texts_is_not_reused(small_config: Callable[..., Config]) -> None:
    from recbole.data import create_dataset

    def texts(**settings: Any) -> list[str]:
        return create_dataset(small_config(save_dataset=True, **settings)).text_source.texts

    one, two = texts(text_fields=["title"]), texts(text_fields=["title", "class"])
    assert one != two
    assert texts(text_fields=["title", "class"]) == two  # reused: equal again
