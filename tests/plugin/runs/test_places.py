"""A checkpoint chooses no path, log, tracker, host or network name: whoever reads it does what the caller says."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from recbole.quick_start import load_data_and_model

from recbole_longinterest import Event, Recommender
from recbole_longinterest.cli import main
from recbole_longinterest.common.known_places import is_known, remember
from recbole_longinterest.data import item_texts
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint, save_checkpoint
from recbole_longinterest.plugin.runs.places import NEVER, PlaceError, disarm
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.text.folder import EncoderError
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update.update import update_checkpoint

NEW = "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti1\t3\t2000000000\n"
READERS: dict[str, Callable[..., Any]] = {
    "resume": lambda path, **named: pipeline.run(make_config(config_dict={"resume": path, "epochs": 2, **named})),
    "load": load_data_and_model,
    "export": lambda path, data_path=None, **named: export_checkpoint(
        path, "model", data_path=data_path, settings=named
    ),
    "update": lambda path, data_path=None, **named: update_checkpoint(
        path, "new.inter", data_path=data_path, settings=named
    ),
}


@pytest.fixture
def foreign(small_config: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """A checkpoint and its last epoch's file, whose config says what somebody else wrote into it."""
    file = pipeline.run(small_config(checkpoint_dir=str(tmp_path / "saved"))).checkpoint
    assert file is not None
    (tmp_path / "new.inter").write_text(NEW)

    def make(**said: Any) -> str:
        for name in (str(file), f"{file}.last"):
            state = load_checkpoint(name)
            for table in (state["config"].final_config_dict, state["config"].external_config_dict):
                table.update(said)
            save_checkpoint(state, name)
        return str(file)

    return make


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the network: addresses, and the hub without ``local_files_only``."""
    found: list[str] = []

    def snapshot_download(name: str, local_files_only: bool = False, **_: Any) -> str:
        if not local_files_only:
            found.append(name)
        raise OSError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: found.append(str(address)))
    return found


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


@pytest.mark.parametrize("reader", READERS)
def test_nothing_is_written_or_asked_where_a_checkpoint_says(
    reader: str, foreign: Callable[..., str], asked: list[str], tmp_path: Path
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "site.pth").write_text("import here\n")
    said = {
        **{"log_file": str(place / "site.pth"), "checkpoint_dir": str(place / "made"), "log_wandb": True},
        **{"save_dataset": True, "dataset_save_path": str(place / "a.pth"), "save_dataloaders": True},
        **{"dataloaders_save_path": str(place / "b.pth"), "wandb_project": "theirs", "ip": "192.0.2.1", "port": 80},
        **{"world_size": 2, "offset": 1, "group_offset": 1, "text_encoder": "their/model"},
    }
    assert said.keys() >= NEVER.keys() - {"offset"}
    READERS[reader](foreign(**said))
    assert files_below(place) == {Path("site.pth")} and (place / "site.pth").read_text() == "import here\n"
    assert not asked


@pytest.mark.parametrize("reader", READERS)
def test_folders_of_data_are_read_if_the_caller_has_named_them(
    reader: str, foreign: Callable[..., str], tmp_path: Path
) -> None:
    own = tmp_path / "data"
    assert is_known("data_path", own / "tiny")  # by the training
    (tmp_path / "elsewhere").mkdir()
    theirs = (own / "tiny").rename(tmp_path / "elsewhere" / "tiny")
    path = foreign(data_path=str(theirs))
    with pytest.raises(PlaceError, match=f"you have not used on this machine.*--data_path {theirs.parent}"):
        READERS[reader](path)
    READERS[reader](path, data_path=str(theirs.parent))


@pytest.mark.parametrize("name", ["text_vectors", "pre_model_path", "pretrained_embedding_path", "item_sources"])
@pytest.mark.parametrize("reader", READERS)
def test_files_to_read_are_named_by_the_caller(name: str, reader: str, foreign: Callable[..., str]) -> None:
    said = {"image": {"file": "their.npy"}} if name == "item_sources" else "their.npy"
    path = foreign(**{name: said})
    with pytest.raises(PlaceError, match=f"sets {name} to .* a file cannot choose what is read"):
        READERS[reader](path)


@pytest.mark.parametrize(
    "said",
    [
        {"dataset": "../tiny"},
        {"dataset": ".."},
        {"model": "a/LongInterest"},
        {"benchmark_filename": ["../../x", "b", "c"]},
    ],
)
def test_names_do_not_lead_out_of_their_folder(said: dict[str, Any], foreign: Callable[..., str]) -> None:
    path = foreign(**said)
    with pytest.raises(PlaceError, match=f"its {next(iter(said))} must be a name"):
        load_checkpoint(path)


def test_a_file_that_is_resumed_writes_no_other_file(foreign: Callable[..., str], tmp_path: Path) -> None:
    path = foreign()
    before = files_below(tmp_path)
    for epochs, name in enumerate(("mine.pth", "../mine.pth", "conftest.py", 3), start=2):
        state = load_checkpoint(f"{path}.last")
        state["run"].update(best_file=name, logs={**state["run"]["logs"], "tensorboard": ".."})
        save_checkpoint(state, f"{path}.last")
        done = pipeline.run(make_config(config_dict={"resume": path, "epochs": epochs}))
        assert str(done.checkpoint) == path
    new = {place for place in files_below(tmp_path) - before if place.parts[0] not in ("log", "log_tensorboard")}
    assert not new


def test_what_a_checkpoint_says_is_shown(foreign: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    path = foreign(log_file="their.log", log_wandb=True)
    make_config(config_dict={"resume": path})
    assert "sets '--log_file=their.log' '--log_wandb=True'. A file cannot choose" in caplog.text
    config = make_config(config_dict={"resume": path, "log_file": "mine.log"})
    assert (config["log_file"], config["log_wandb"], config["checkpoint_dir"]) == (
        "mine.log",
        False,
        str(Path(path).parent),
    )


def test_the_hub_is_asked_only_for_an_encoder_that_the_caller_names(
    foreign: Callable[..., str], asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(item_texts, "TextEncoder", TextEncoder)
    path = foreign(text_encoder="their/model")
    encoder = item_texts.make_encoder(make_config(config_dict={"resume": path}))
    with pytest.raises(EncoderError, match=r"Only a file names .*, not you, so it is not downloaded"):
        encoder.encode(["x"])
    (tmp_path / "folder").mkdir()
    encoder = item_texts.make_encoder(
        make_config(config_dict={"resume": foreign(text_encoder=str(tmp_path / "folder"))})
    )
    with pytest.raises(EncoderError, match=r"Only a file names .*, not you, so it is not read"):
        encoder.encode(["x"])
    assert not asked
    encoder = item_texts.make_encoder(
        make_config(config_dict={"resume": foreign(text_encoder="a/b"), "text_encoder": "a/b"})
    )
    with pytest.raises(EncoderError, match="cannot be loaded from the Hugging Face hub"):
        encoder.encode(["x"])
    assert asked == ["a/b"]


def test_an_export_does_not_choose_an_encoder(
    foreign: Callable[..., str], asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    export_checkpoint(foreign(text_encoder="their/model"), "model")
    assert Recommender.load("model").recommend([Event("i1", 3, time=1)])  # no encoder is needed to serve
    Path("new.csv").write_text("item_id,title,class\nn1,New,Kind\n")
    assert main.main(["add-items", "model", "new.csv", "--output", "more"]) == 2
    assert "Only a file names the text encoder" in capsys.readouterr().err and not asked
    assert main.main(["add-items", "model", "new.csv", "--output", "more", "--text_encoder", "their/model"]) == 2
    assert asked == ["their/model"]


def test_places_are_kept_by_setting_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    Path("data").mkdir()
    remember("data_path", "data")
    assert is_known("data_path", tmp_path / "data") and not is_known("data_path", "other")
    assert not is_known("text_vectors", tmp_path / "data")
    assert is_known("text_vectors", "data")  # inside the folder that the user works in
    Path("away").symlink_to("/")
    assert not is_known("data_path", "away/etc") and not is_known("data_path", "..")
    monkeypatch.setenv("RECBOLE_LI_CACHE", "/proc/none")  # nothing can be kept there, which is no error
    remember("data_path", tmp_path / "data")
    assert not is_known("data_path", tmp_path / "data")


def test_a_config_that_is_disarmed_twice_is_the_same(foreign: Callable[..., str]) -> None:
    path = foreign(log_file="x")
    config = load_checkpoint(path)["config"]
    before = dict(config.final_config_dict)
    with contextlib.suppress(KeyError):
        disarm(config, Path(path))
    assert config.final_config_dict == before
