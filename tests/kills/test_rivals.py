"""Two processes that write one place, and places that may not be written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.nn.state_keys import ID
from recbole_longinterest.serving.model_folder import ExportError, read_folder, write_folder
from tests.kills.conftest import Warm, files_of, leftovers
from tests.kills.test_prepare import ARGUMENTS
from tests.served import random_served

WRITE = """
import sys
from pathlib import Path
from recbole_longinterest.serving.model_folder import write_folder
from tests.served import random_served
served = [random_served(n_items=20, seed=seed) for seed in (0, 1)]
print("ready", flush=True)
while True:
    for model in served:
        write_folder(model, Path("model"))
"""


def refused(warm: Warm, root: Path, place: Path, arguments: list[str]) -> str:
    """What a command says while another process writes its place, or cannot write at all."""
    before = files_of(root)
    with lock_files(place):
        done = warm.run(root, arguments)
    assert done.code == 2 and done.said.count("\n") == 1 and done.said.startswith("recbole-li: error: "), done.said
    assert files_of(root) == before and not leftovers(root)
    return done.said


@pytest.mark.slow
def test_the_second_of_two_processes_is_told(warm: Warm, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "raw").mkdir(parents=True)
    (root / "raw" / "log.csv").write_text("u,i,t,title\na,b,1,c\na,c,2,d\n")
    said = refused(warm, root, root / "data" / "shop", ARGUMENTS)
    assert "Another process is preparing data/shop at the moment. Wait for it, or give another --name.\n" in said
    write_folder(random_served(n_items=20), root / "model")
    (root / "items.csv").write_text("item_id,title\nx,A\n")
    said = refused(warm, root, root / "model", ["add-items", "model", "items.csv"])
    assert f"Another process is writing {root / 'model'} at the moment. Wait for it, or give another" in said


def test_a_folder_that_cannot_be_written_is_one_sentence(warm: Warm, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "raw").mkdir(parents=True)
    (root / "raw" / "log.csv").write_text("u,i,t,title\na,b,1,c\na,c,2,d\n")
    write_folder(random_served(n_items=20), root / "model")
    (root / "items.csv").write_text("item_id,title\nx,A\n")
    before = files_of(root)
    for arguments in (ARGUMENTS, ["add-items", "model", "items.csv"]):
        done = warm.run(root, arguments, how="read-only")
        assert done.code == 2 and done.said.count("\n") == 1, done.said
        assert "cannot be written (Read-only file system). Make room there, or choose another folder." in done.said
        assert files_of(root) == before


@pytest.mark.slow
def test_a_model_that_is_replaced_while_it_is_read_is_one_of_the_two(tmp_path: Path) -> None:
    models = [random_served(n_items=20, seed=seed) for seed in (0, 1)]
    write_folder(models[0], tmp_path / "model")
    known = {model.fingerprint: model.weights[ID] for model in models}
    with subprocess.Popen([sys.executable, "-c", WRITE], cwd=tmp_path, stdout=subprocess.PIPE) as writer:
        assert writer.stdout and writer.stdout.readline() == b"ready\n"
        seen = set()
        end = time.monotonic() + 20
        read = 0
        while (read < 200 or len(seen) < 2) and time.monotonic() < end:
            served = read_folder(tmp_path / "model")
            assert served.weights[ID].equal(known[served.fingerprint])
            seen.add(served.fingerprint)
            read += 1
        writer.send_signal(signal.SIGKILL)
    assert len(seen) == 2 and read > 20
    write_folder(models[0], tmp_path / "model")
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_model_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"The model folder .* does not exist"):
        read_folder(tmp_path / "model")
