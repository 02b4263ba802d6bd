"""Keep checkpoints from choosing paths, logs, trackers and hosts.

:func:`disarm` removes these settings from every config that comes from a file. :func:`use_places` adds the places that
the caller names, and those in the file that this user has named before (`common.known_places`).
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

# Settings that write files or reach other machines -> their value in a config from a file.
NEVER: dict[str, Any] = {
    **{"log_file": None, "log_wandb": False, "wandb_project": "recbole"},
    **{"save_dataset": False, "dataset_save_path": None, "save_dataloaders": False, "dataloaders_save_path": None},
    **dict.fromkeys(("ip", "port", "world_size", "offset", "group_offset")),
}
# Settings with paths to read from.
READ = (
    *("text_vectors", "item_sources"),
    *("pre_model_path", "pretrain_path", "mf_pretrain_path", "mlp_pretrain_path", "warm_up"),  # RecBole's models
)
PLACES = ("data_path", "text_encoder", *READ)
"""Settings with places to read from, which a caller may name for a checkpoint."""
PARTS_OF_NAMES = ("benchmark_filename", "additional_feat_suffix")
LIKE_A_PLACE = re.compile(r"(?i)(^|_)(path|paths|dir|dirs|file|files|folder|folders|url|uri|host|address|proxy)$")
OTHERWISE = ("data_path", "checkpoint_dir", "config_files", *NEVER, *READ)  # handled one by one

SAID, FROM, NAMED = "said_by_file", "read_from", "encoder_is_named"
"""Attributes of a config from a file, not stored: removed settings, path of the file, see `item_texts.make_encoder`."""


class PlaceError(LongInterestError):
    """Only a checkpoint names a place to read from, not the user."""


def disarm(config: "Config", path: Path) -> None:
    """Remove settings that only a caller may set from a file's config; ``checkpoint_dir`` becomes the file's folder.

    Args:
        config: the config from the file.
        path: the file.

    Raises:
        PlaceError: if the model, the data set or a part of a file name leads out of its folder.
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
        config: the config, after :func:`disarm`.
        named: places that the caller names, among :data:`PLACES`; ``data_path`` is the folder above the data set's.

    Raises:
        PlaceError: if the file names a place that this user has never named, or the data folder does not exist.
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
            f"{path} sets {name} to {final[name]}, which you have not used on this machine, and a file cannot choose "
            f"what is read. If it is right, name it yourself: {name}={final[name]}."
        )
    encoder = final.get("text_encoder")
    folder = isinstance(encoder, str) and Path(encoder).expanduser().is_dir()
    vars(config)[NAMED] = "text_encoder" in named or (folder and is_known("text_encoder", encoder))


def show_what_is_not_done(config: "Config", named: Mapping[str, Any]) -> None:
    """Warn about logs, trackers and hosts that a file sets and the caller does not.

    Args:
        config: the config, after :func:`disarm`.
        named: settings that the caller gives.
    """
    said = [f"--{name}={value}" for name, value in vars(config)[SAID].items() if name not in named]
    if said:
        getLogger().warning(
            f"{vars(config)[FROM]} sets {' '.join(map(repr, said))}. A file cannot choose where a run writes or what "
            "it connects to: give these options yourself if you want them."
        )


def remember_places(config: "Config") -> None:
    """Record the places that a caller's own config reads from; a config from a file is ignored."""
    if FROM in vars(config):
        return
    for name in PLACES:
        value = config[name]
        if isinstance(value, str) and not Path(value).expanduser().exists():  # a model name, or a missing file
            continue
        if value not in (None, "", False):
            remember(name, value)


def _data_folder(config: "Config", path: Path, above: object) -> Path:
    """Data folder for a file: the caller's, the one beside an update, RecBole's own, or one that the user has named."""
    dataset, said = str(config["dataset"]), Path(str(config["data_path"]))
    if above is not None:
        return Path(str(above), dataset)
    of_update = said.parent.name.endswith(".data")
    beside = Path(f"{str(path).removesuffix('.last')}.data", dataset)
    if of_update and beside.is_dir():
        return beside
    if dataset == BUNDLED and not of_update:
        import recbole  # late: needed only for its path

        return Path(next(iter(recbole.__path__)), "dataset_example", dataset)
    if not said.is_dir():
        raise PlaceError(
            f"There is no data set folder {said}, which {path} names as its data. Give the folder above it as "
            "data_path (--data_path DIR)."
        )
    if not is_known("data_path", said):
        raise PlaceError(
            f"{path} sets data_path to {said}, which you have not used on this machine, and a file cannot choose what "
            f"is read. If it is right, name it yourself: --data_path {said.parent}."
        )
    return said


def _may_read(name: str, value: object, named: Mapping[str, Any]) -> bool:
    return name in named or is_known(name, value)
