"""Shared fixtures: small atomic data sets, a fake text encoder, and where the real data is."""

import logging
import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: the tests run in two processes, a core each
# ray.init() joins the last cluster that was started below this folder, which may be another test's, or dead.
os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="r")  # short: sockets have paths of 107 characters at most

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parent.parent
REAL_DATA = PROJECT.parent / "shared" / "data"
RAY_FOLDER = os.environ["RAY_TMPDIR"]

# Where nothing may write bytecode, each of the many processes started here compiles torch and Ray: 5 seconds of a core.
BYTECODE = tempfile.mkdtemp(prefix="pyc") if os.environ.pop("PYTHONDONTWRITEBYTECODE", "") else None
if BYTECODE:
    os.environ["PYTHONPYCACHEPREFIX"] = BYTECODE
ENDED_LAST = contextlib.ExitStack()


class FakeEncoder:
    """Stands in for TextEncoder: a vector that depends on the text alone, and a count of what was encoded."""

    identity = "fake"
    batch_size = 64

    def __init__(self, dim: int = 16) -> None:
        self.dim = dim
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        rows = [np.random.default_rng(list(text.encode())).standard_normal(self.dim) for text in texts]
        return np.asarray(rows, dtype=np.float32).reshape(len(texts), self.dim)

    def unload(self) -> None:
        """Nothing is loaded."""


@pytest.fixture(autouse=True)
def _logs_of_a_service_end_with_its_test() -> Iterator[None]:
    """``set_up_logs`` sends all logs of the process to a stream that pytest closes after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if any(type(handler.formatter).__name__ == "JsonLines" for handler in root.handlers):
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def fake_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEncoder:
    """Texts are encoded by a fake, into a cache of the test's own."""
    from recbole_longinterest.data import item_texts

    encoder = FakeEncoder()
    monkeypatch.setattr(item_texts, "TextEncoder", lambda *args, **kwargs: encoder)
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    return encoder


@pytest.fixture(autouse=True)
def _own_log_level() -> Iterator[None]:
    """Commands that log errors only set the level of the root logger, for the tests after them too."""
    root = logging.getLogger()
    level, disabled = root.level, root.manager.disable
    yield
    root.setLevel(level)
    logging.disable(disabled)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """RecBole writes log/, saved/ and log_tensorboard/ into the working directory, Ray below RAY_TMPDIR."""
    monkeypatch.chdir(tmp_path)
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield


@pytest.fixture
def one_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Ray that all tests of this process share: its start takes longer than most of them."""
    from recbole_longinterest.plugin.ray_session import ray, ray_session

    if not ray.is_initialized():
        monkeypatch.setenv("RAY_TMPDIR", RAY_FOLDER)
        monkeypatch.setenv("RAY_worker_niceness", "0")
        ENDED_LAST.enter_context(ray_session(None))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", metavar="K/N", help="run part K, from 0, of N parts of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of the other parts out."""
    part = config.getoption("--part")
    if part is None:
        return
    this, number = (int(text) for text in part.split("/"))
    chosen = [crc32(item.nodeid.encode()) % number == this for item in items]
    config.hook.pytest_deselected(items=list(compress(items, map(not_, chosen))))
    items[:] = compress(items, chosen)


def pytest_unconfigure() -> None:
    """The Ray and what it left, and the bytecode; the workers have ended by now."""
    ENDED_LAST.close()
    for folder in (RAY_FOLDER, BYTECODE):
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write atomic files; returns the folder above the data set's."""

    def write(name: str, inter: str, item: str | None = None) -> Path:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.inter").write_text(inter, encoding="utf-8")
        if item is not None:
            (folder / f"{name}.item").write_text(item, encoding="utf-8")
        return folder.parent

    return write


def synthetic_inter(users: int = 30, items: int = 20, events: int = 12, seed: int = 0, rating: bool = True) -> str:
    """Random histories of 3 to ``events`` events with ratings 1-5 and times in seconds, as an .inter file."""
    rng = np.random.default_rng(seed)
    lines = ["user_id:token\titem_id:token" + ("\trating:float" if rating else "") + "\ttimestamp:float"]
    for user in range(users):
        time = int(rng.integers(10**9, 10**9 + 10**6))
        for _ in range(int(rng.integers(3, events + 1))):
            time += int(rng.integers(1, 10**5))
            score = f"\t{rng.integers(1, 6)}" if rating else ""
            lines.append(f"u{user}\ti{rng.integers(items)}{score}\t{time}")
    return "\n".join(lines) + "\n"


def synthetic_item(items: int = 20) -> str:
    """An .item file with a title and a class for every item of :func:`synthetic_inter`."""
    rows = [f"i{i}\tTitle number {i}\tKind {i % 4}" for i in range(items)]
    return "\n".join(["item_id:token\ttitle:token_seq\tclass:token_seq", *rows]) + "\n"


SMALL: dict[str, Any] = {
    "text_fields": ["title", "class"],
    "text_dim": 4,
    "embedding_size": 8,
    "hidden_size": 8,
    "epochs": 1,
    "show_progress": False,
    "state": "WARNING",
    "train_batch_size": 64,
}


@pytest.fixture
def small_config(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder) -> Callable[..., Any]:
    """Config of a small LongInterest on a small synthetic data set; keywords override."""

    def make(inter: str | None = None, item: str | None = None, **settings: Any) -> Any:
        from recbole_longinterest.training.settings import make_config

        root = write_dataset("tiny", inter or synthetic_inter(), synthetic_item() if item is None else item)
        return make_config("LongInterest", "tiny", config_dict={**SMALL, "data_path": str(root), **settings})

    return make


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a Python program in a fresh process, in a folder of its own."""

    def run(code: str, *args: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            cwd=cwd,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if check:
            assert done.returncode == 0, done.stderr[-3000:]
        return done

    return run


def real_data(name: str) -> Path:
    """Folder above a real data set's, or skip."""
    if not (REAL_DATA / name).is_dir():
        pytest.skip(f"{name} is not at ../shared/data")
    return REAL_DATA
