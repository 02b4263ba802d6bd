"""What needs each patch, and a program that tries each with all patches and with its own left out.

Run as a script, it imports RecBole without the plugin and forks once a check and mode.
"""

import json
import os
import pickle
import re
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

PROJECT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT))

from tests.conftest import synthetic_inter, synthetic_item  # noqa: E402

pandas_3 = int(pd.__version__.split(".")[0]) >= 3

# Each check runs in a process of its own, in an empty folder.


def tiny(model: str, inter: str | None = None, item: str | None = None, **settings: Any) -> Any:
    """Config of a tiny data set, written here."""
    from recbole.config import Config

    folder = Path("data/tiny")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.inter").write_text(inter or synthetic_inter())
    (folder / "tiny.item").write_text(item or synthetic_item())
    values = {
        "data_path": "data",
        "epochs": 1,
        "embedding_size": 8,
        "state": "ERROR",
        "train_batch_size": 64,
        **settings,
    }
    return Config(model, "tiny", config_dict=values)


def trained(config: Any) -> tuple[Any, Any, Any]:
    """Trainer of one fitted model, its training and its test data."""
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    init_seed(config["seed"], True)
    train, valid, test = data_preparation(config, create_dataset(config))
    model = get_model(config["model"])(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(train, valid, verbose=False, saved=True)
    return trainer, train, test


def loaded(config: Any) -> Any:
    """The data set, before it is split."""
    from recbole.data import create_dataset

    return create_dataset(config)


def numpy_aliases() -> None:
    warnings.simplefilter("error")
    tiny("BPR")
    assert np.float is np.float64 and np.str is np.str_  # type: ignore[attr-defined]


def model_names() -> None:
    for wrong, right in (("SASRek", "SASRec"), ("sasrec", "SASRec"), ("bpr", "BPR")):
        try:
            tiny(wrong)
        except ValueError as error:
            assert f"There is no model '{wrong}'" in str(error) and right in str(error), error
        else:
            raise AssertionError(wrong)
    assert tiny("SASRec", train_neg_sample_args=None).model_class.__name__ == "SASRec"


def missing_values() -> None:
    inter = "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti1\t\t1\nu1\ti2\t2\t2\nu2\ti1\t4\t3\n"
    item = "item_id:token\tkind:token\ti2:float\ni1\ta\t1\ni2\t\t3\n"
    data = loaded(tiny("BPR", inter, item, load_col=None, user_inter_num_interval=None, normalize_all=False))
    assert data.inter_feat["rating"].tolist() == [3, 2, 4]
    assert data.item_feat["kind"].tolist() == [0, 1, 2] or data.item_feat["kind"].tolist() == [0, 1, 0]
    assert data.item_feat["i2"].tolist() == [2, 1, 3]


def columns_of_files() -> None:
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="(?s).*inplace keyword")  # pandas 3.1, hidden by default
    item = synthetic_item().replace("Title number 3", "").replace("Kind 2", "")
    data = loaded(tiny("BPR", item=item, load_col={"inter": ["user_id", "item_id"], "item": "*"}))
    titles = dict(zip(data.id2token("item_id", data.item_feat["item_id"]), data.item_feat["title"], strict=True))
    assert len(titles["i3"]) == 0 and list(data.id2token("title", titles["i4"])) == ["Title", "number", "4"]
    item = "item_id:token\tprice:float\ni1\t2\ni2\tcheap\n"
    try:
        loaded(tiny("BPR", item=item, load_col={"inter": ["user_id", "item_id"], "item": "*"}))
    except ValueError as error:
        assert "tiny.item cannot be read: row 2 has 'cheap' as price:float" in str(error), error


def labels() -> None:
    settings = {"metrics": ["AUC"], "valid_metric": "AUC", "train_neg_sample_args": None}
    config = tiny("FM", eval_args={"split": {"RS": [8, 1, 1]}, "order": "RO", "mode": "labeled"}, **settings)
    try:
        trained(config)
    except ValueError as error:
        assert "FM and AUC need labels" in str(error), error
    else:
        raise AssertionError("no error")


def benchmark_histories() -> None:
    folder = Path("data/tiny")
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "valid", "test"):
        lines = [f"u{i}\tp{i % 5}\t{' '.join(f'p{(i + j) % 5}' for j in range(1 + i))}" for i in range(8)]
        head = "user_id:token\tp_id:token\tp_id_list:token_seq"
        (folder / f"tiny.{part}.inter").write_text("\n".join([head, *lines]) + "\n")
    settings: dict[str, Any] = {"ITEM_ID_FIELD": "p_id", "alias_of_item_id": ["p_id_list"]}
    settings |= {"load_col": {"inter": ["user_id", "p_id", "p_id_list"]}}
    settings |= {"benchmark_filename": ["train", "valid", "test"], "MAX_ITEM_LIST_LENGTH": 3, "normalize_all": False}
    settings |= {"topk": [3], "valid_metric": "MRR@3"}  # there are five items
    trained(tiny("SASRec", train_neg_sample_args=None, hidden_size=8, inner_size=8, n_layers=1, **settings))


def sequence_lengths() -> None:
    warnings.filterwarnings("error", category=FutureWarning)
    item = "item_id:token\ttitle:token_seq\tsize:float_seq\n" + "".join(f"i{i}\tA B{i}\t{i} 2\n" for i in range(20))
    data = loaded(tiny("BPR", item=item, load_col={"inter": ["user_id", "item_id"], "item": "*"}, normalize_all=True))
    row = data.item_feat[data.item_feat["item_id"] == data.token2id("item_id", "i7")].iloc[0]
    assert list(data.id2token("title", row["title"])) == ["A", "B7"]
    assert np.allclose(row["size"], [7 / 19, 2 / 19])


def writable_columns() -> None:
    warnings.filterwarnings("error", message=".*not writable")
    loaded(tiny("BPR")).build()


def sparse_update() -> None:
    trained(tiny("LightGCN"))


def visible_gpus() -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "3"
    config = tiny("BPR")
    assert (os.environ["CUDA_VISIBLE_DEVICES"], config["gpu_id"]) == ("3", "3")
    assert (tiny("BPR", gpu_id="1")["gpu_id"], os.environ["CUDA_VISIBLE_DEVICES"]) == ("1", "1")
    assert tiny("BPR")["gpu_id"] == "0"  # what Config wrote itself is nobody's assignment
    del os.environ["CUDA_VISIBLE_DEVICES"]
    assert (tiny("BPR")["gpu_id"], os.environ["CUDA_VISIBLE_DEVICES"]) == ("0", "0")


def command_line_arguments() -> None:
    for program in ("/usr/bin/pytest", os.__file__, torch.__file__, "/env/lib/site-packages/ipykernel_launcher.py"):
        sys.argv = [program, "--epochs=3", "-x"]
        assert tiny("BPR")["epochs"] == 1, program
    sys.argv = ["run_recbole.py", "--epochs=3", "--encoding=a=b", "--learner=adam"]
    assert (tiny("BPR")["epochs"], tiny("BPR")["encoding"]) == (3, "a=b")


def checkpoint_names() -> None:
    config = tiny("BPR")
    trainer, _, _ = trained(config)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    other = type(trainer)(config, trainer.model)
    twin = type(trainer)(config, trainer.model)
    assert other.saved_model_file != twin.saved_model_file
    assert torch.equal(state[0], torch.get_rng_state()) and (state[1] == np.random.get_state()[1]).all()
    assert re.fullmatch(r"BPR-\w+-\d+-\d+_[\d-]+-[0-9a-f]{12}\.pth", Path(twin.saved_model_file).name)


def shared_folders() -> None:
    import recbole.trainer.trainer
    import recbole.utils.logger

    os.path.exists = lambda path: False  # another process makes it right after
    for module in (recbole.trainer.trainer, recbole.utils.logger):
        module.ensure_dir("folder/inside")
        module.ensure_dir("folder/inside")


def anomaly_detection() -> None:
    from recbole.utils import get_model

    get_model("GRU4Rec")
    assert not torch.is_anomaly_enabled()


def terminal_streams() -> None:
    from recbole.utils import init_logger

    settings = tiny("BPR")
    for _ in range(500):
        init_logger(settings)
        sys.stdout.write("still there\n")
        sys.stderr.write("still there\n")


def own_logs() -> None:
    from recbole.quick_start import run_recbole

    tiny("BPR")
    import logging

    settings = {"data_path": "data", "epochs": 1, "embedding_size": 8, "show_progress": False, "state": "INFO"}
    for _ in range(2):
        run_recbole("BPR", "tiny", config_dict=dict(settings))
    logs = sorted(Path("log/BPR").iterdir())
    assert len(logs) == 2, logs
    for log in logs:
        assert log.read_text().count("Saving current") == 1, log
    folders = sorted(folder.name for folder in Path("log_tensorboard").iterdir())
    assert folders == [log.stem for log in logs], folders
    assert all(len(list(Path("log_tensorboard", folder).glob("events.out.*"))) == 1 for folder in folders)
    mine = logging.FileHandler("mine.log")  # the program's own, the first of all
    logging.getLogger().handlers.insert(0, mine)
    run_recbole("BPR", "tiny", config_dict=dict(settings))
    assert mine in logging.getLogger().handlers and "Saving current" in Path("mine.log").read_text()
    assert len(list(Path("log_tensorboard").iterdir())) == 3 and not Path("log_tensorboard/mine").exists()


def gradient_scaler() -> None:
    warnings.filterwarnings("error", category=FutureWarning)
    trained(tiny("BPR"))


class Session:
    """What stands in a Ray trial."""

    world_rank = None

    def __init__(self) -> None:
        self.reported: list[dict[str, Any]] = []

    def report(self, metrics: dict[str, Any], checkpoint: None = None) -> None:
        self.reported.append(metrics)


def ray_objective() -> None:
    import ray.train._internal.session
    from recbole.quick_start import objective_function

    tiny("BPR")
    settings = {"model": "BPR", "dataset": "tiny", "data_path": "data", "epochs": 2, "state": "ERROR"}
    result = objective_function(dict(settings))
    assert sorted(result) == ["best_valid_result", "best_valid_score", "model", "test_result", "valid_score_bigger"]

    ray.train._internal.session._session = session = Session()
    result = objective_function(dict(settings))
    expected = sorted([*result["best_valid_result"], "epoch", "valid_score"])
    assert [sorted(metrics) for metrics in session.reported] == [expected] * 2
    assert max(metrics["mrr@10"] for metrics in session.reported) == result["best_valid_score"] == result["mrr@10"]


def exhaustive_search() -> None:
    from recbole.quick_start import objective_function
    from recbole.trainer import HyperTuning

    tiny("BPR")
    fixed = "model: BPR\ndataset: tiny\ndata_path: data\nepochs: 1\nstate: ERROR\nembedding_size: 8\n"
    Path("fixed.yaml").write_text(fixed)
    space = {"choice": {"learning_rate": [0.01, 0.001]}}
    tuning = HyperTuning(objective_function, params_dict=space, fixed_config_file_list=["fixed.yaml"])
    tuning.run()
    assert len(tuning.params2result) == 2 and tuning.best_params["learning_rate"] in (0.01, 0.001)


def plain_settings() -> None:
    code = "__import__('pathlib').Path('ran').touch() or 'CE'"
    sys.argv = ["run_recbole.py", f"--note={code}"]
    given = {"learner": code, "topk": "[5, 10]", "metrics": ["Recall"], "valid_metric": "Recall@10"}
    config = tiny("BPR", **given, strict_keys=False)
    assert not Path("ran").exists(), "the setting was run"
    assert (config["learner"], config["note"], config["topk"]) == (code, code, [5, 10])
    Path("name.yaml").write_text("learner: !!python/name:os.system\n")
    try:
        type(config)("BPR", "tiny", ["name.yaml"])
    except Exception as error:
        assert "could not determine a constructor" in str(error), error
    else:
        raise AssertionError("the yaml names a function")


def plain_choices() -> None:
    from recbole.trainer import HyperTuning

    Path("hyper.test").write_text("learning_rate choice [0.1,0.01]\n")
    HyperTuning(print, params_file="hyper.test")
    Path("hyper.test").write_text("loss_type choice [__import__('pathlib').Path('ran').touch()]\n")
    try:
        HyperTuning(print, params_file="hyper.test")
    except ValueError as error:
        assert "A choice must be a list" in str(error), error
    finally:
        assert not Path("ran").exists(), "the file was run"


def plain_configs() -> None:
    config = tiny("BPR")
    torch.save({"config": config}, "config.pth")
    again = torch.load("config.pth", weights_only=True)["config"]
    assert again.final_config_dict == config.final_config_dict and str(again) == str(config)


def safe_checkpoints() -> None:
    trainer, _, test = trained(tiny("BPR"))
    result = trainer.evaluate(test, load_best_model=True)
    trainer.resume_checkpoint(trainer.saved_model_file)
    assert trainer.start_epoch == 1 and trainer.evaluate(test, load_best_model=False) == result


class Touch:
    """Unpickled, it makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def safe_caches() -> None:
    config = tiny("BPR")
    Path("saved").mkdir()
    Path("saved/tiny-Dataset.pth").write_bytes(pickle.dumps(Touch()))
    try:
        loaded(config)
    finally:
        assert not Path("ran").exists(), "the file was run"


def teacher_names() -> None:
    columns = {"inter": ["user_id", "item_id", "rating"]}
    mode = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": None, "mode": "labeled"}
    settings = {"load_col": columns, "eval_args": mode, "metrics": ["AUC"], "valid_metric": "AUC", "threshold": None}
    settings |= {"LABEL_FIELD": "rating", "normalize_all": True, "train_neg_sample_args": None}
    assert trained(tiny("KD_DAGFM", teacher="CIN", **settings))[0].model.teacher_network.__class__.__name__ == "CIN"
    config = tiny("KD_DAGFM", **settings)
    config["teacher"] = "__import__('os').system('touch ran') or CrossNet"
    try:
        trained(config)
    except ValueError as error:
        assert "teacher must be one of DAGFM, CrossNet, " in str(error), error
    finally:
        assert not Path("ran").exists(), "the setting was run"


def plain_embeddings() -> None:
    config = tiny("LDiffRec", train_neg_sample_args=None, n_cate=2)
    np.save("data/tiny/item_emb.npy", np.array([Touch()]))
    try:
        trained(config)
    except ValueError as error:
        assert "item_emb.npy is not an array of numbers" in str(error), error
    finally:
        assert not Path("ran").exists(), "the file was run"


def relation_vectors() -> None:
    from collections import defaultdict

    from recbole.model.sequential_recommender.ksr import KSR

    class Graph:
        def num(self, field: str) -> int:
            return 4

        def get_preload_weight(self, field: str) -> np.ndarray:
            return np.ones((4, 2))  # float64, as RecBole makes it

    sizes = ("embedding_size", "kg_embedding_size", "hidden_size")
    config = defaultdict(lambda: "x", dict.fromkeys(sizes, 2), num_layers=1, dropout_prob=0.0, loss_type="CE", gamma=1)
    config.update(device=torch.device("cpu"), freeze_kg=False)
    item_seq = torch.ones(3, 5, dtype=torch.int64)
    assert KSR(config, Graph()).forward(item_seq, torch.full((3,), 5)).shape == (3, 2)


def lean_collector() -> None:
    from recbole.evaluator import Collector

    settings = {"metrics": ["NDCG"], "topk": [3], "device": "cpu", "eval_args": {"mode": "full"}}
    sizes = []
    zeros_like = torch.zeros_like
    torch.zeros_like = lambda values, **more: (sizes.append(values.shape), zeros_like(values, **more))[1]
    collector = Collector(settings)
    collector.eval_batch_collect(torch.rand(4, 9), None, torch.arange(4), torch.arange(4))
    assert torch.Size([4, 9]) not in sizes, "a matrix as large as the scores was made"
    assert collector.data_struct.get("rec.topk").shape == (4, 4)


def process_group(**settings: Any) -> Any:
    """Config of the only process of a distributed run without GPU."""
    import socket

    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    place = {"local_rank": 0, "world_size": 1, "nproc": 1, "offset": 0, "ip": "localhost", "port": port}
    return tiny("BPR", **place, **settings)


def known_places() -> None:
    from recbole_longinterest.common.known_places import is_known

    os.environ["RECBOLE_LI_CACHE"] = str(Path("cache").absolute())
    assert not is_known("data_path", "data/tiny")
    tiny("BPR")
    assert is_known("data_path", Path("data/tiny").absolute()) and not is_known("data_path", Path("data").absolute())


def processes_without_gpu() -> None:
    config = process_group()
    assert (config["device"].type, config["single_spec"], torch.distributed.get_backend()) == ("cpu", False, "gloo")
    trainer, _, test = trained(config)
    assert trainer.evaluate(test)["recall@10"] >= 0


def plugin_in_processes() -> None:
    import recbole.quick_start.quick_start

    assert recbole.quick_start.run_recboles.__module__ == "recbole_longinterest.plugin.fixes.processes"
    assert recbole.quick_start.quick_start.run_recboles is recbole.quick_start.run_recboles


def whole_evaluation() -> None:
    config = process_group(eval_batch_size=100)
    trainer, _, test = trained(config)
    counts = []
    gather = torch.distributed.all_gather
    torch.distributed.all_gather = lambda out, value: (counts.append(value.item()), gather(out, value))[1]
    trainer.evaluate(test)
    assert not counts, f"averages weighted by {counts[0]} in place of {len(test.uid_list)}"


def resumable_training() -> None:
    trainer, _, _ = trained(tiny("BPR"))
    assert Path(f"{trainer.saved_model_file}.last").is_file()


def wandb_goes_on() -> None:
    from recbole.utils import WandbLogger

    logger = WandbLogger(types.SimpleNamespace(log_wandb=False))
    assert logger.validations_before == 0


def tuning_packages() -> None:
    from recbole.trainer import HyperTuning

    sys.modules["hyperopt"] = None  # type: ignore[assignment]
    try:
        HyperTuning(print, params_dict={"choice": {"a": [1]}})
    except ValueError as error:
        assert "pip install 'recbole-longinterest[hyperopt]'" in str(error), error


def plain_metrics() -> None:
    trainer, _, test = trained(tiny("BPR"))
    assert {type(value) for value in trainer.evaluate(test, load_best_model=False).values()} == {float}


def one_bar_a_cell() -> None:
    import recbole.trainer.trainer

    shown: list[dict[str, str]] = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=True, execution_count=1)  # type: ignore[attr-defined]
    ipython.display = types.ModuleType("IPython.display")  # type: ignore[attr-defined]
    handle = types.SimpleNamespace(update=lambda content, raw: None)
    ipython.display.display = lambda content, **options: shown.append(content) or handle  # type: ignore[attr-defined]
    sys.modules["IPython"], sys.modules["IPython.display"] = ipython, ipython.display  # type: ignore[attr-defined]
    for _ in range(3):
        assert list(recbole.trainer.trainer.tqdm([1, 2], total=2, ncols=100, desc="Train")) == [1, 2]
    assert len(shown) == 1


# fix -> (what needs it, how it fails without the fix, whether this stack is new enough to fail)
CHECKS: dict[str, tuple[Callable[[], None], str, bool]] = {
    "numpy_aliases": (numpy_aliases, r"np\.float_` was removed", True),
    "model_names": (model_names, "No module named '(lightgbm|xgboost)'", True),
    "missing_values": (missing_values, "AssertionError|Chained", pandas_3),
    "columns_of_files": (columns_of_files, "has no attribute 'split'|[Cc]hained", pandas_3),
    "labels": (labels, "KeyError", True),
    "benchmark_histories": (benchmark_histories, "AttributeError", True),
    "sequence_lengths": (sequence_lengths, "Length of values", pandas_3),
    "writable_columns": (writable_columns, "not writable", pandas_3),
    "sparse_update": (sparse_update, "_update", True),
    "visible_gpus": (visible_gpus, "AssertionError", True),
    "command_line_arguments": (command_line_arguments, "AssertionError", True),
    "checkpoint_names": (checkpoint_names, "AssertionError", True),
    "shared_folders": (shared_folders, "FileExistsError", True),
    "anomaly_detection": (anomaly_detection, "AssertionError", True),
    "terminal_streams": (terminal_streams, "RecursionError", True),
    "own_logs": (own_logs, "AssertionError|No such file", True),
    "gradient_scaler": (gradient_scaler, "torch.cuda.amp.GradScaler", True),
    "ray_objective": (ray_objective, r"report\(\) got an unexpected keyword|TypeError", True),
    "exhaustive_search": (exhaustive_search, "integers", True),
    "plain_settings": (plain_settings, "the setting was run", True),
    "plain_choices": (plain_choices, "the file was run", True),
    "plain_configs": (plain_configs, "Weights only load failed|Can't pickle|cannot pickle", True),
    "safe_checkpoints": (safe_checkpoints, "Weights only load failed", True),
    "safe_caches": (safe_caches, "the file was run", True),
    "teacher_names": (teacher_names, "the setting was run", True),
    "plain_embeddings": (plain_embeddings, "the file was run", True),
    "relation_vectors": (relation_vectors, "to have the same dtype", True),
    "known_places": (known_places, "AssertionError", True),
    "processes_without_gpu": (processes_without_gpu, "(?i)nccl|AssertionError|assert", True),
    "plugin_in_processes": (plugin_in_processes, "AssertionError", True),
    "lean_collector": (lean_collector, "a matrix as large as the scores", True),
    "whole_evaluation": (whole_evaluation, "averages weighted by", True),
    "wandb_goes_on": (wandb_goes_on, "validations_before", True),
    "tuning_packages": (tuning_packages, "import of hyperopt halted|No module named", True),
    "resumable_training": (resumable_training, "AssertionError", True),
    "plain_metrics": (plain_metrics, "AssertionError", True),
    "one_bar_a_cell": (one_bar_a_cell, "AssertionError", True),
}


# Features: the whole of the tests of LongInterest's settings, data sets and training fails without them, and for
# parquet_events those of tests/data/test_parquet_reader.py.
TESTED_ELSEWHERE = {"settings_files", "loaders", "train_on_windows", "parquet_events"}


def load_without_patches() -> None:
    """Import RecBole and what is slow, once for all forks, without the package's own ``__init__``, which sets hooks."""
    package = types.ModuleType("recbole_longinterest")
    package.__path__ = [str(PROJECT / "recbole_longinterest")]
    sys.modules["recbole_longinterest"] = package
    import hyperopt  # noqa: F401
    import ray.tune  # noqa: F401
    import recbole.config
    import recbole.data.dataset
    import recbole.trainer  # noqa: F401

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def attempt(check: Callable[[], None], left_out: str | None) -> str:
    """How a check fails in a fork; empty if it passes."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = Path(folder, "outcome")
        child = os.fork()
        if child == 0:
            try:
                os.chdir(folder)
                os.environ.pop("CUDA_VISIBLE_DEVICES", None)
                sys.argv = [""]
                from recbole_longinterest.plugin.fixes import hooks, registry

                if left_out:
                    registry.leave_out(left_out)
                hooks.install()
                check()
                outcome.write_text("")
            except BaseException:
                outcome.write_text(traceback.format_exc())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return outcome.read_text() if outcome.exists() else "the process died"


def main() -> None:
    """Write {check: [outcome with all fixes, outcome without its fix]}."""
    load_without_patches()
    outcomes = {name: [attempt(check, None), attempt(check, name)] for name, (check, _, _) in CHECKS.items()}
    from recbole_longinterest.plugin.fixes import registry

    missing = sorted({patch.name for patch in registry.patches(everything=True)} - set(CHECKS) - TESTED_ELSEWHERE)
    Path(sys.argv[1]).write_text(json.dumps({"outcomes": outcomes, "missing": missing}))


if __name__ == "__main__":
    main()
