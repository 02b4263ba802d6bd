"""The settings of an update, and its entry in the new checkpoint's lineage."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.table_growth import SCOPES
from recbole_longinterest.training.update.caps import Caps
from recbole_longinterest.training.update.parent import UpdateError

# Settings that change the result, with their defaults; None means the training's value. New events are few, so batches
# of the training's size would give too few steps (measurements in docs/results/updates.md).
DEFAULTS: dict[str, Any] = {
    "epochs": 3,
    "learning_rate": None,
    "train_batch_size": 256,
    "seed": None,
    "eval_step": 0,
    "stopping_step": None,
}
FREE = {"show_progress": False, "state": "WARNING", "num_threads": None}  # settings that do not change the result


def settings_of(
    config: Settings,
    scope: str,
    replay: float,
    without_text: bool,
    caps: Caps,
    given: Mapping[str, Any],
    form: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the settings of an update into those that change the result and the others.

    Args:
        config: config of the parent.
        scope: which parameters are trained.
        replay: old targets replayed for each new one.
        without_text: whether new items are added without their texts.
        caps: limits on the new events. Unset limits are left out, so that default output names do not change.
        given: settings given by the user.
        form: column names and date format of the events; unset values are left out, too.

    Raises:
        UpdateError: for an unknown setting, or a value that cannot be used.
    """
    unknown = [name for name in given if name not in DEFAULTS and name not in FREE]
    if unknown:
        raise UpdateError(
            f"An update has no setting {unknown[0]}; it has {', '.join((*DEFAULTS, *FREE))}. "
            "All other settings are the parent's."
        )
    if scope not in SCOPES:
        raise UpdateError(f"scope must be one of {', '.join(SCOPES)}; got {scope!r}.")
    if not (isinstance(replay, (int, float)) and 0 <= replay < float("inf")):
        raise UpdateError(f"replay must be a number of at least 0 (old targets for each new one); got {replay!r}.")
    wanted = {name: given.get(name, default) for name, default in DEFAULTS.items()}
    chosen = {name: config[name] if value is None else value for name, value in wanted.items()}
    deciding = {"scope": scope, "replay": float(replay), "without_text": without_text, **chosen, **caps.chosen()}
    deciding |= {name: value for name, value in form.items() if value}
    return deciding, {name: given.get(name, default) for name, default in FREE.items()}


def record_of(checkpoint: Path, files: Mapping[str, Path], chosen: dict[str, Any]) -> dict[str, Any]:
    """Identify an update by the hashes of its parent and files, and by its settings.

    Args:
        checkpoint: the parent.
        files: new files by extension.
        chosen: settings that change the result.

    Returns:
        The start of the update's lineage entry.

    Raises:
        UpdateError: if a file is missing.
    """
    for file in files.values():
        if not file.is_file():
            raise UpdateError(f"There is no file {file}.")
    return {
        "parent": checkpoint.name,
        "parent_sha256": file_hash(checkpoint),
        "new_sha256": {end: file_hash(file) for end, file in files.items()},
        "settings": chosen,
    }


def key_of(record: dict[str, Any]) -> str:
    """Return a short hash of a record, for the default name of the new checkpoint."""
    return sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
