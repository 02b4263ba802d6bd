"""Update a checkpoint with new events, without training from scratch. The old checkpoint does not change.

The old and new events are merged into a folder beside the new checkpoint, so every command that reads checkpoints can
read it. Tables grow by token (`nn.table_growth`). The model is trained on the new events and a sample of old ones
(`replay`). An interrupted update resumes at the next call, like every training (`plugin.runs.resume`).
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.leftovers import remove
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.places import PLACES
from recbole_longinterest.training.update.caps import Caps
from recbole_longinterest.training.update.gate import Gate
from recbole_longinterest.training.update.intake import read_report
from recbole_longinterest.training.update.job import Update
from recbole_longinterest.training.update.merge import Merged, NewFiles
from recbole_longinterest.training.update.parent import Parent, UpdateError
from recbole_longinterest.training.update.record import key_of, record_of, settings_of
from recbole_longinterest.training.update.result import TRAINING, Updated, data_folder, files_beside, refused_name


def update_checkpoint(
    checkpoint: str | Path,
    inter: str | Path,
    item: str | Path | None = None,
    output: str | Path | None = None,
    *,
    user: str | Path | None = None,
    scope: str = "head",
    replay: float = 1.0,
    without_text: bool = False,
    data_path: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
    caps: Caps | None = None,
    gate: Gate | None = None,
) -> Updated:
    """Update a trained model with new events, users and items.

    The result is an interpolation between the parent's weights and those trained on the new events, with weight
    ``m / (m + 1000)`` for ``m`` events. Rows of new items, and all weights if validation chooses the epoch
    (``eval_step``), are taken from training in full.

    Args:
        checkpoint: a LongInterest checkpoint, from a training or an update.
        inter: new events with the columns that the training read: RecBole's ``.inter``, CSV, TSV, Parquet or JSON
            lines. Duplicates of the training's events are skipped. Times are in the training's unit, or ISO dates.
        item: an ``.item`` file of new items and of items whose text changed.
        output: path of the new checkpoint; ``<checkpoint>-update-<hash>.pth`` if None, where the hash depends on
            parent, files and settings. ``<output>.data`` beside it holds the merged data. A training resumes from
            ``<output>.last``.
        user: a ``.user`` file of new users and of users whose columns changed, for a model with ``user_features``.
        scope: parts to train: ``"items"`` (embeddings of new items), ``"head"`` (also the projection to the interest
            vector and the parts after it) or ``"all"``.
        replay: old targets replayed for each new one, at least 2,048 in total; 0 for no replay.
        without_text: add new items without encoding their texts.
        data_path: parent of the data set's folder, if it has moved since training.
        settings: of the training: ``epochs`` (3), ``train_batch_size`` (256), ``eval_step`` (0; 1 chooses the epoch by
            validation), ``learning_rate``, ``seed``, ``stopping_step``, ``show_progress``, ``state``, ``num_threads``;
            and paths from the checkpoint that this user has never named, such as ``text_encoder``.
        columns: the file's column names of ``user``, ``item``, ``time``, ``rating`` and ``behavior``.
        time_format: ``strptime`` format of dates that are not ISO 8601.
        caps: limits on the new events. Events beyond them go to ``<output>.quarantine.inter``.
        gate: conditions for the new checkpoint. If it fails, it is kept as ``<name>.refused.pth``.

    Returns:
        The results. The same update gives the same file, and is not run again if it exists.
        ``<output>.intake.json`` holds the intake report, ``<output>.intake.csv`` the values of every item.

    Raises:
        LongInterestError: for a checkpoint, file, setting or encoder that cannot be used.
    """
    started = time.monotonic()
    checkpoint = Path(checkpoint)
    files = NewFiles(Path(inter), *(None if file is None else Path(file) for file in (item, user)))
    places = {name: value for name, value in (settings or {}).items() if name in PLACES}
    parent = Parent(checkpoint, {**places, "data_path": data_path})
    others = {name: value for name, value in (settings or {}).items() if name not in PLACES}
    named = {kind: name for kind, name in sorted((columns or {}).items()) if name is not None}
    form = {"columns": named, "time_format": time_format}
    chosen, free = settings_of(parent.config, scope, replay, without_text, caps or Caps(), others, form)
    record = record_of(checkpoint, files.named(), chosen)
    output = Path(output or checkpoint.with_name(f"{checkpoint.stem}-update-{key_of(record)}.pth")).absolute()
    if output == checkpoint.absolute():
        raise UpdateError(f"An update does not write over its parent {checkpoint}. Give another --output.")
    with lock_files(output, "updating to", "give another --output"):
        found = _found(output, record, gate, started)
        return found or Update(parent, record, files, output, free, caps, gate).run(started)


def _found(output: Path, record: dict[str, Any], gate: Gate | None, started: float) -> Updated | None:
    """Return the results of this update if it was already done, or rejected by the same gate; else None.

    Raises:
        UpdateError: if ``output`` is another checkpoint, or was published without this gate.
    """
    for place in (output, refused_name(output)):
        if not place.is_file() or (place != output and not data_folder(place).is_dir()):  # its folder moves last
            continue
        entry = (load_checkpoint(place)["config"]["lineage"] or [{}])[-1]
        same = {name: entry.get(name) for name in record} == record
        report = read_report(place)
        judged = (report or {}).get("gate")
        same_gate = {name: (judged or {}).get(name) for name in vars(gate)} == vars(gate) if gate else judged is None
        if place == output and not same:
            raise UpdateError(f"{output} already exists and is not this update. Give another --output.")
        if place == output and gate and not same_gate:
            raise UpdateError(f"{output} is this update, published without this gate. Remove it to update again.")
        if not same or (place != output and not same_gate):
            continue
        remove(data_folder(place) / TRAINING)  # left by a kill at the very end
        counts = {name: entry[name] for name in ("changed_texts", "items", "new_targets", "old_targets")}
        return Updated(
            place,
            Merged(**entry["merged"]),
            trained=[],
            seconds=0.0,
            total_seconds=time.monotonic() - started,
            **counts,
            **files_beside(place, report),
        )
    return None
