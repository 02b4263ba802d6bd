"""Trainings, checkpoints, updates and exports after a kill at any point, and on a full disk."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.common.leftovers import standing
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, load_checkpoint
from recbole_longinterest.serving.model_folder import read_folder
from tests.conftest import synthetic_inter, synthetic_item
from tests.kills.conftest import Trial, files_of

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]
SMALL = ["--text_dim=4", "--embedding_size=8", "--hidden_size=8", "--show_progress=False", "--train_batch_size=64"]
RUN = ["run", "--dataset", "tiny", "--data_path=data", "--text_fields=['title']", "--resume=True", *SMALL]
RUN += ["--state=ERROR"]
ITEMS = "item_id,title\n" + "".join(f"i{n},Title number {n}\n" for n in range(18, 24))
CLASSIC = "tests.kills.scenarios:without_exchange"
# Where the disk takes no name any more, the old folder cannot get its own back: readers and the next command find it.
MAY_STAY = {CLASSIC: ".old"}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A data set, new events, new items."""
    folder = tmp_path / "start"
    (folder / "data" / "tiny").mkdir(parents=True)
    (folder / "data" / "tiny" / "tiny.inter").write_text(synthetic_inter(events=6))
    (folder / "data" / "tiny" / "tiny.item").write_text(synthetic_item())
    (folder / "items.csv").write_text(ITEMS)
    rows = [f"u{n}\ti{(n * place) % 20}\t4\t{1_100_000_000 + n + place}" for n in range(8) for place in range(3)]
    (folder / "new.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\n".join(rows) + "\n"
    )
    return folder


@pytest.fixture
def checkpoint(start: Path, trial: Callable[..., Trial]) -> str:
    """A checkpoint in the folder that trials start from, which is ``root / saved / <its name>``."""
    made = trial([*RUN, "--epochs=1"], lambda root: None)
    (start / "saved").mkdir()
    for file in (made.root / "saved").iterdir():
        file.rename(start / "saved" / file.name)
    return next(str(file.relative_to(start)) for file in (start / "saved").glob("*.pth"))


def model_of(root: Path) -> Any:
    """What every command reads under the name of the model: its fingerprint, and its files."""
    place = standing(root / "model")
    return (read_folder(root / "model").fingerprint, files_of(place)) if place.exists() else None


def trained_in(root: Path) -> Any:
    """Epoch, best score and weights of the checkpoints."""
    found = {}
    for file in sorted((root / "saved").glob("LongInterest*")):
        try:
            state = load_checkpoint(file)
        except CheckpointError as error:
            return str(error)
        weights = sha256(b"".join(value.numpy().tobytes() for value in state["state_dict"].values())).hexdigest()
        found[file.suffix] = state["epoch"], state["best_valid_score"], weights
    return found


def is_whole(found: Any) -> bool:
    return isinstance(found, dict)


def test_a_training_goes_on(start: Path, trial: Callable[..., Trial]) -> None:
    tried = trial([*RUN, "--epochs=2"], trained_in, right=is_whole)
    assert tried.new[".last"][0] == 1
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_a_training_that_goes_on_is_killed_again(checkpoint: str, trial: Callable[..., Trial]) -> None:
    resumed = ["run", "--resume", checkpoint, "--epochs=2", "--show_progress=False"]
    tried = trial(resumed, trained_in, right=is_whole)
    assert tried.old[".last"][0] == 0 and tried.new[".last"][0] == 1
    tried.kill_everywhere()


@pytest.mark.parametrize("work", ["tests.kills.scenarios:command", CLASSIC])
def test_an_export_replaces_an_export(checkpoint: str, trial: Callable[..., Trial], work: str) -> None:
    export = ["export", checkpoint, "--output", "model"]
    tried = trial([*export, "--int8"], model_of, export, work=work, may_stay=MAY_STAY.get(work, ""))
    assert tried.old[0] != tried.new[0]
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_a_first_export(checkpoint: str, trial: Callable[..., Trial]) -> None:
    tried = trial(["export", checkpoint, "--output", "model"], model_of)
    assert tried.old is None
    tried.kill_everywhere()
    tried.fill_everywhere()


@pytest.mark.parametrize("options", [[], ["--output", "other"]])
@pytest.mark.parametrize("work", ["tests.kills.scenarios:command", CLASSIC])
def test_items_are_added(checkpoint: str, trial: Callable[..., Trial], options: Sequence[str], work: str) -> None:
    def look(root: Path) -> Any:
        other = root / "other"
        return model_of(root), files_of(other) if other.exists() else None

    export = ["export", checkpoint, "--output", "model"]
    tried = trial(
        ["add-items", "model", "items.csv", *options], look, export, work=work, may_stay=MAY_STAY.get(work, "")
    )
    assert (tried.old[0] == tried.new[0]) == bool(options)
    if options and work == CLASSIC:
        return  # nothing is replaced
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_an_update_is_made_or_not(checkpoint: str, trial: Callable[..., Trial]) -> None:
    def look(root: Path) -> Any:
        """What it makes counts from its checkpoint on, without the folder of the training, which goes last."""
        files = {name: content for name, content in files_of(root).items() if "new.pth.data/training/" not in name}
        made = "saved/new.pth" in files
        return {name: content for name, content in files.items() if made or not name.startswith(("saved/new", "cache"))}

    update = ["update", checkpoint, "--inter", "new.inter", "--output", "saved/new.pth", "--epochs=1"]
    tried = trial(update, look)
    assert "saved/new.pth" in tried.new and "saved/new.pth" not in tried.old
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_a_user_is_forgotten_everywhere_in_the_end(checkpoint: str, trial: Callable[..., Trial]) -> None:
    """A journal finishes what is begun; until then every file is the old or the new one."""

    def look(root: Path) -> Any:
        found: dict[str, Any] = {"events": (root / "data" / "tiny" / "tiny.inter").read_bytes()}
        for file in (root / "saved").glob("[!.]*.pth*"):
            found[file.name] = len(load_checkpoint(file)["config"]["erasures"] or [])
        for file in (root / "saved").glob("[!.]*.json"):
            assert json.loads(file.read_text())
            found["receipts"] = found.get("receipts", 0) + 1
        return found

    tried = trial(["forget", "u1", "--lineage", checkpoint, "--data_path", "data"], look)
    assert b"u1\t" in tried.old["events"] and b"u1\t" not in tried.new["events"] and tried.new["receipts"] == 1
    assert tried.new[Path(checkpoint).name] == 1
    tried.right = lambda found: all(
        value in (tried.old.get(name), tried.new.get(name)) for name, value in found.items()
    )
    tried.kill_everywhere()
    tried.fill_everywhere()
