"""What a checkpoint may not choose: paths, logs, trackers and hosts.

:func:`disarm` takes them out of every config that comes from a file. :func:`use_places` puts in what the caller names,
and the folders that the file names to read from if this user has named them before (`common.known_places`).
"""

import re
from collections.abc import Mapping
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.known_places import is_known, remember
from recbole_longinterest.common.resources import BUNDLED

if TYPE_CHECKING:
    from recbole.config.configurator import Config

# Settings that write, or that reach other machines -> what they are in a config from a file.
NEVER: dict[str, Any] = {
    **{"log_file": None, "log_wandb": False, "wandb_project": "recbole"},
    **{"save_dataset": False, "dataset_save_path": None, "save_dataloaders": False, "dataloaders_save_path": None},
    **dict.fromkeys(("ip", "port", "world_size", "offset", "group_offset")),
}
# Settings that say what is read.
READ = (
    *("text_vectors", "item_sources"),
    *("pre_model_path", "pretrain_path", "mf_pretrain_path", "mlp_pretrain_path", "warm_up"),  # of RecBole's models
)
PLACES = ("data_path", "text_encoder", *READ)
"""Settings with which a caller names places of a checkpoint."""
PARTS_OF_NAMES = ("benchmark_filename", "additional_feat_suffix")
LIKE_A_PLACE = re.compile(r"(?i)(^|_)(path|paths|dir|dirs|file|files|folder|folders|url|uri|host|address|proxy)$")
OTHERWISE = ("data_path", "checkpoint_dir", "config_files", *NEVER, *READ)  # such names, seen to one by one

SAID, FROM, NAMED = "said_by_file", "read_from", "encoder_is_named"
"""Attributes of a config from a file, which are not stored: what it said, which file, see `item_texts.make_encoder`."""


class PlaceError(LongInterestError):
    """A place that a checkpoint names and nobody else."""


def disarm(config: "Config", path: Path) -> None:
    """Take out of a config from a file what only a caller may say; the file's folder is its ``checkpoint_dir``.

    Args:
        config: as the file has it.
        path: the file.

    Raises:
        PlaceError: for a model, a data set or a part of a file name that leads out of its folder.
    """
    final, external = config.final_config_dict, config.external_config_dict
    for name in ("model", "dataset", *PARTS_OF_NAMES):
        values = final.get(name)
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if value is not None and (not isinstance(value, str) or Path(value).name != value or value in ("", "..")):
                raise PlaceError(f"{path} is not a checkpoint to trust: its {name} must be a name; it is {value!r}.")
    said = {name: final[name] for name, safe in NEVER.items() if final.get(name) not in (safe, None, False)}
    final.update({name: safe for name, safe in NEVER.items() if name in final})
    final["checkpoint_dir"] = str(path.parent)
    for name in ("checkpoint_dir", *NEVER):
        external.pop(name, None)
    vars(config).update({SAID: said, FROM: str(path), NAMED: False})


def use_places(config: "Config", named: Mapping[str, Any]) -> None:
    """Make a config from a file ready to read its data.

    Args:
        config: of :func:`disarm`.
        named: places that the caller names, among :data:`PLACES`; ``data_path`` is the folder above the data set's.

    Raises:
        PlaceError: for a place of the file that the caller does not name and this user never has, and for a folder of
            data that is not there.
    """
    final, path = config.final_config_dict, Path(vars(config)[FROM])
    named = {name: value for name, value in named.items() if value is not None}
    for name in PLACES[1:]:
        if name in named:
            final[name] = named[name]
    final["data_path"] = str(_data_folder(config, path, named.get("data_path")))
    more = [name for name in final if LIKE_A_PLACE.search(name) and name not in OTHERWISE]
    unknown = [n for n in (*READ, *more) if final.get(n) not in (None, "", False) and not _may_read(n, final[n], named)]
    if unknown:
        name = unknown[0]
        raise PlaceError(
            f"{path} says {name}: {final[name]}, which you have not used on this machine, and a file's word is no "
            f"reason to read it. If it is right, name it yourself: {name}={final[name]}."
        )
    encoder = final.get("text_encoder")
    folder = isinstance(encoder, str) and Path(encoder).expanduser().is_dir()
    vars(config)[NAMED] = "text_encoder" in named or (folder and is_known("text_encoder", encoder))


def show_what_is_not_done(config: "Config", named: Mapping[str, Any]) -> None:
    """Warn of logs, trackers and hosts that a file names and its caller does not.

    Args:
        config: of :func:`disarm`.
        named: settings that the caller gives.
    """
    said = [f"--{name}={value}" for name, value in vars(config)[SAID].items() if name not in named]
    if said:
        getLogger().warning(
            f"{vars(config)[FROM]} says {' '.join(map(repr, said))}. A file does not choose where a run writes or what "
            "it speaks to: give them yourself if you want them."
        )


def remember_places(config: "Config") -> None:
    """Keep which places a caller's own config reads from; of a config from a file nothing is kept."""
    if FROM in vars(config):
        return
    for name in PLACES:
        value = config[name]
        if isinstance(value, str) and not Path(value).expanduser().exists():  # a name, or not there
            continue
        if value not in (None, "", False):
            remember(name, value)


def _data_folder(config: "Config", path: Path, above: object) -> Path:
    """Folder of the data of a file: what the caller names, the one beside an update, RecBole's own, or a known one."""
    dataset, said = str(config["dataset"]), Path(str(config["data_path"]))
    if above is not None:
        return Path(str(above), dataset)
    of_update = said.parent.name.endswith(".data")
    beside = Path(f"{str(path).removesuffix('.last')}.data", dataset)
    if of_update and beside.is_dir():
        return beside
    if dataset == BUNDLED and not of_update:
        import recbole  # late: only its place is asked for

        return Path(next(iter(recbole.__path__)), "dataset_example", dataset)
    if not said.is_dir():
        raise PlaceError(
            f"There is no data set folder {said}, which {path} says it was trained on. Give the folder above it as "
            "data_path (--data_path DIR)."
        )
    if not is_known("data_path", said):
        raise PlaceError(
            f"{path} says that it was trained on {said}, which you have not used on this machine, and a file's word is "
            f"no reason to read it. If it is right, name it yourself: --data_path {said.parent}."
        )
    return said


def _may_read(name: str, value: object, named: Mapping[str, Any]) -> bool:
    return name in named or is_known(name, value)
