"""Several processes: the same metrics as one, the same number of batches each, one end for all."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.cli import main
from recbole_longinterest.data.train_loader import BatchPlan
from recbole_longinterest.data.windows import plan_windows
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.process_group import TIMEOUT
from recbole_longinterest.plugin.runs.ranks import even_step
from recbole_longinterest.training import pipeline, processes
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter, synthetic_item

BPR = {"embedding_size": 8, "train_batch_size": 32, "epochs": 2, "metric_decimal_place": 12, "show_progress": False}
BPR |= {"state": "ERROR", "gpu_id": ""}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # in the processes started here


@pytest.fixture
def data_path(write_dataset: Callable[..., Path]) -> str:
    return str(write_dataset("tiny", synthetic_inter(users=31), synthetic_item()))


# --- the same metrics ------------------------------------------------------------------------------------------------


def evaluated(
    rank: int,
    model_name: str,
    dataset: str,
    checkpoint: str,
    place: dict[str, Any],
    kinds: list[dict[str, Any]],
    queue: Any,
) -> None:
    """Metrics of a checkpoint on the test data, and the batches of this rank, for each kind of evaluation."""
    import recbole_longinterest  # noqa: F401 - registers

    found = []
    for number, kind in enumerate(kinds):
        group = {**place, "local_rank": rank, "port": place["port"] + number} if place else {}
        with command_line([]):
            config = make_config(model_name, dataset, config_dict={**kind, **group})
        init_seed(config["seed"], True)  # of the split
        train, _, test = data_preparation(config, create_dataset(config))
        model = get_model(model_name)(config, train._dataset).to(config["device"])
        trainer = get_trainer(config["MODEL_TYPE"], model_name)(config, model)
        trainer.eval_collector.data_collect(train)
        found.append((dict(trainer.evaluate(test, model_file=checkpoint)), len(test), len(list(test))))
        if dist.is_initialized():
            dist.destroy_process_group()
    queue.put((rank, found))


KINDS: dict[str, dict[str, Any]] = {
    "full": {"eval_batch_size": 120},  # six users a batch, three a rank: 16 and 15 users are not as many batches
    "sampled": {"eval_args": {"mode": "uni5"}, "eval_batch_size": 40},
    "not a mean": {"metrics": ["GAUC", "Recall", "ShannonEntropy"], "valid_metric": "GAUC", "eval_batch_size": 120},
}


@pytest.mark.slow
def test_two_processes_give_the_metrics_of_one(data_path: str) -> None:
    with command_line([]):
        trained = pipeline.run(make_config("BPR", "tiny", config_dict={**BPR, "data_path": data_path}))
    kinds = [{**BPR, **kind, "data_path": data_path} for kind in KINDS.values()]
    alone, ranks = by_one_and_by_two("BPR", "tiny", str(trained.checkpoint), kinds)
    for number, name in enumerate(KINDS):
        result, batches, dealt = ranks[0][number]
        if name != "sampled":  # every process draws its own negatives
            assert result == pytest.approx(alone[number][0], abs=1e-6), name
        assert ranks[1][number] == (result, batches, dealt) and batches == dealt, name


def by_one_and_by_two(*what: Any) -> tuple[Any, dict[int, Any]]:
    """What :func:`evaluated` finds in one process, and in each of two."""
    queue = mp.get_context("spawn").SimpleQueue()
    *of, kinds = what
    evaluated(0, *of, {}, kinds, queue)
    _, alone = queue.get()
    place = {"nproc": 2, "world_size": 2, "offset": 0, "ip": "localhost", "port": processes._free_port()}
    mp.spawn(evaluated, (*of, place, kinds, queue), nprocs=2)
    return alone, dict(queue.get() for _ in range(2))


@pytest.mark.slow
def test_two_processes_learn_and_evaluate_as_one_on_ml_100k() -> None:
    settings = {"text_features": "off", "epochs": 3, "state": "ERROR", "show_progress": False, "gpu_id": ""}
    with command_line([]):
        config = make_config("LongInterest", "ml-100k", config_dict=settings)
        two = processes.run(
            make_config("LongInterest", "ml-100k", config_dict={**settings, "nproc": 2}),
            ("LongInterest", "ml-100k", [], settings),
            ["--nproc=2"],
        )
    one = pipeline.run(config)
    assert two.best_valid_score == pytest.approx(one.best_valid_score, abs=0.015)  # three epochs: seeds differ by it
    kinds = [{**settings, "eval_batch_size": 256, "metric_decimal_place": 8}]  # 943 users: 472 and 471
    alone, ranks = by_one_and_by_two("LongInterest", "ml-100k", str(two.checkpoint), kinds)
    assert ranks[0][0][0] == ranks[1][0][0] == pytest.approx(alone[0][0], abs=1e-4)
    assert two.test_result == pytest.approx(alone[0][0], abs=1e-4)
    assert all(ranks[rank][0][1] == ranks[rank][0][2] for rank in (0, 1))


@pytest.mark.parametrize(("rows", "ranks", "step"), [(943, 2, 471), (943, 2, 2048), (31, 4, 7), (7, 3, 1), (1, 2, 8)])
def test_ranks_that_differ_by_a_row_have_as_many_batches(rows: int, ranks: int, step: int) -> None:
    even = even_step(rows, ranks, step)
    shares = [len(range(rows)[rank::ranks]) for rank in range(ranks)]
    assert sum(shares) == rows and step <= even
    assert len({-(-share // even) for share in shares if share}) == 1


@pytest.mark.parametrize("n_histories", [1, 2, 5])
@pytest.mark.parametrize("ranks", [1, 2, 4, 7])
def test_training_ranks_hold_as_many_batches(n_histories: int, ranks: int) -> None:
    start = torch.arange(n_histories).repeat_interleave(5) * 6
    target = start + torch.arange(1, 6).repeat(n_histories)
    windows = plan_windows(start, target, 4)
    plans = [list(BatchPlan(windows, 4, 0, rank=rank, world_size=ranks)) for rank in range(ranks)]
    assert len({len(plan) for plan in plans}) == 1 and plans[0]
    assert {window for plan in plans for batch in plan for window in batch.windows} == set(range(len(windows)))


@pytest.mark.slow
def test_recboles_own_model_trains_in_one_pass_with_two(data_path: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--one_pass=True", "--epochs=1", "--train_batch_size=32", "--show_progress=False", "--gpu_id="]
    columns = "--load_col={'inter': ['user_id', 'item_id', 'timestamp']}"
    arguments = ["run", "--model=GRU4Rec", "--dataset=tiny", f"--data_path={data_path}", columns, *settings]
    assert main.main([*arguments, "--nproc=2"]) == 0, capsys.readouterr().err
    assert "GRU4Rec on tiny" in capsys.readouterr().out


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_trains_and_goes_on_with_two(data_path: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [f"--{name}={value}" for name, value in BPR.items()]
    arguments = ["run", "--model=BPR", "--dataset=tiny", f"--data_path={data_path}", *settings, "--nproc=2"]
    assert main.main(arguments) == 0
    checkpoint = capsys.readouterr().out.split("checkpoint: ")[1].strip()
    assert sorted(Path("saved").iterdir()) == [Path(checkpoint), Path(f"{checkpoint}.last")]
    assert main.main(["run", f"--resume={checkpoint}", "--epochs=2"]) == 0
    assert "BPR on tiny" in capsys.readouterr().out


def broken(rank: int, queue: Any, arguments: Any, settings: Any) -> None:
    """A process that does what the second argument says, while the other waits for it."""
    how = arguments[0]
    if rank == 1:
        time.sleep(600)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    processes.make_config = lambda *args: fail(how)  # type: ignore[assignment]
    processes._work(rank, queue, arguments, settings)


def fail(how: str) -> None:
    raise {"wrong": ValueError("hidden_size must be at least 1; got 0."), "broken": RuntimeError("no\nmemory")}[how]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error", "match"),
    [
        ("wrong", ValueError, r"^hidden_size must be at least 1; got 0\.$"),
        ("broken", processes.ProcessError, r"^process 0 failed: RuntimeError: no memory$"),
        ("killed", processes.ProcessError, r"^process 0 of 2 was killed \(signal 9\)\. If memory ran out, use fewer"),
    ],
)
def test_a_failing_process_ends_all(
    how: str, error: type[Exception], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_work", broken)
    config: Any = {"nproc": 2, "world_size": -1, "ip": None, "port": None, "offset": None, "group_offset": None}
    before = time.monotonic()
    with pytest.raises(error, match=match):
        processes.run(config, (how, "tiny", [], {}), [])
    assert time.monotonic() - before < 300 and not mp.active_children()


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [(ValueError("wrong."), 2, "wrong."), (processes.ProcessError("process 1 died."), 1, "process 1 died.")],
)
def test_the_command_says_it_in_one_sentence(
    error: Exception,
    code: int,
    text: str,
    data_path: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*args: Any) -> None:
        raise error

    monkeypatch.setattr(processes, "run", run)
    assert main.main(["run", "--model=BPR", "--dataset=tiny", f"--data_path={data_path}", "--nproc=2"]) == code
    assert capsys.readouterr().err == f"recbole-li: error: {text}\n"


def test_too_few_gpus(data_path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "device", lambda name: name)
    assert main.main(["run", "--model=BPR", "--dataset=tiny", f"--data_path={data_path}", "--nproc=2"]) == 2
    assert "nproc needs a GPU per process; got nproc=2 and gpu_id=0. Name more GPUs" in capsys.readouterr().err


def test_processes_meet_on_the_gpus_that_are_named(data_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    visible: list[str | None] = []
    met: dict[str, Any] = {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(
        torch.cuda, "is_available", lambda: bool(visible.append(os.environ.get("CUDA_VISIBLE_DEVICES"))) or True
    )
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: met.update(gpu=number))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **given: met.update(given, backend=backend))
    monkeypatch.setattr(dist, "TCPStore", lambda *given, **more: met.update(at=given, master=more["is_master"]))
    place = {"local_rank": 1, "world_size": 2, "nproc": 2, "offset": 0, "ip": "localhost", "port": 1}

    def config(gpu_id: str) -> Any:
        with command_line([]):
            return Config("BPR", "tiny", config_dict={"data_path": data_path, **place, "gpu_id": gpu_id})

    made = config("2,3")
    assert visible[0] == "2,3"  # before torch asks, which fixes them
    assert (made["device"], made["single_spec"]) == (torch.device("cuda", 1), False)
    assert (met["backend"], met["rank"], met["timeout"], met["gpu"]) == ("nccl", 1, TIMEOUT, 1)
    assert met["at"] == ("127.0.0.1", 1, 2) and not met["master"]
    with pytest.raises(ValueError, match="nproc needs a GPU per process; got nproc=2 and gpu_id=2"):
        config("2")


class _Ended:
    """A process that has ended."""

    def __init__(self, exitcode: int) -> None:
        self.exitcode = exitcode


def test_a_process_that_aborts_after_its_work_has_not_failed() -> None:
    queue = mp.get_context("spawn").SimpleQueue()
    workers = [_Ended(0), _Ended(-signal.SIGABRT)]
    done: list[tuple[str, Any]] = [("result", "the result"), ("done", 0), ("done", 1)]
    assert processes._outcome(workers, queue, list(done)) == "the result"
    with pytest.raises(processes.ProcessError, match=r"process 1 of 2 was killed \(signal 6\)"):
        processes._outcome(workers, queue, done[:2])
