"""Run one update, from its input files to the new checkpoint. After a kill, the next call resumes it."""

import copy
import json
import time
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_file, atomic_folder, write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.common.known_places import remember
from recbole_longinterest.common.leftovers import discard, remove
from recbole_longinterest.common.version import __version__
from recbole_longinterest.nn.state_keys import values_key
from recbole_longinterest.nn.table_growth import part_of_the_way
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.plugin.runs.checkpoints import LAST, load_checkpoint, save_checkpoint
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import check_values
from recbole_longinterest.training.update.caps import Caps
from recbole_longinterest.training.update.event_table import needs_table, write_inter
from recbole_longinterest.training.update.gate import Gate, rows_of_old_users
from recbole_longinterest.training.update.intake import QUARANTINE, beside, read_report, write_report
from recbole_longinterest.training.update.merge import Merged, NewFiles, merge
from recbole_longinterest.training.update.parent import SHOWN, Parent, UpdateError
from recbole_longinterest.training.update.record import DEFAULTS
from recbole_longinterest.training.update.replay import ReplayDataset
from recbole_longinterest.training.update.result import TRAINING, Updated, data_folder, files_beside, refused_name
from recbole_longinterest.training.update.review import Reviewed, old_users, review
from recbole_longinterest.training.update.start import Start, start_from

PARENT_EVENTS = 1000  # with this number of new events, the weights move half of the way to the trained ones
CONVERTED = "new.inter"  # in the folder of merged data during the merge: new events of a CSV, Parquet or JSON file
USERS, ITEMS = "user_inter_num_interval", "item_inter_num_interval"  # filters of the training
MERGED = "merged.json"  # in the folder of merged data: identifies the update it belongs to


class Update:
    """One update.

    Args:
        parent: the checkpoint to start from.
        record: start of the update's lineage entry, see :func:`record_of`.
        files: new events, items and users.
        output: path of the new checkpoint.
        free: settings that do not change the result.
        caps: limits on the new events.
        gate: conditions that the new checkpoint must meet to be published.
    """

    def __init__(
        self,
        parent: Parent,
        record: dict[str, Any],
        files: NewFiles,
        output: Path,
        free: dict[str, Any],
        caps: Caps | None,
        gate: Gate | None,
    ) -> None:
        self.parent, self.record, self.files, self.output = parent, record, files, output
        self.caps, self.gate = caps, gate
        self.folder = data_folder(output)
        self.work = self.folder / TRAINING
        self.settings = record["settings"]
        self.free = {name: value for name, value in free.items() if value is not None}
        self._start: Start | None = None

    def run(self, started: float) -> Updated:
        """Run the update; ``started`` is the monotonic time at which the caller started."""
        config = self._config(self.parent.config, self._data)
        chosen = {name: value for name, value in self.settings.items() if name in DEFAULTS}
        config.final_config_dict.update(chosen, **self.free, resume=True, checkpoint_dir=str(self.work))
        if self.settings["scope"] != "all":
            config["weight_decay"] = 0.0  # it would change frozen parameters
        check_values(config)
        merged = self._merge()
        data = ReplayDataset(config)
        data.known, data.replay = self.parent.trained_keys, self.settings["replay"]
        self._check_features(data)
        self._say_who_is_left_out(data, merged)
        began = time.monotonic()
        trained = pipeline.train(config, dataset=data, start=lambda model: self._begin(model, data))
        seconds = time.monotonic() - began
        assert self._start is not None  # pipeline.train has called _begin
        counts = {
            "changed_texts": self._start.changed_texts,
            "items": data.item_num - 1,
            "new_targets": data.new_targets,
            "old_targets": data.old_targets,
        }
        file = Path(trained.trainer.saved_model_file)
        best = self._part_of_the_way(load_checkpoint(file), self._start, data)
        reviewed = review(self.parent, trained, self._start, data, best["state_dict"], merged.quarantined, self.gate)
        entry = {**self.record, **counts, "merged": merged.to_dict()}
        place = self._write(best, load_checkpoint(f"{file}{LAST}"), data, entry, reviewed)
        total = time.monotonic() - started
        return Updated(
            place,
            merged,
            trained=self._start.trained,
            seconds=seconds,
            total_seconds=total,
            **counts,
            **files_beside(place, read_report(place)),
        )

    def _begin(self, model: LongInterest, data: ReplayDataset) -> None:
        if self.gate is not None and self.gate.share:
            # Raises before the training if there are no rows.
            rows_of_old_users(data.validation_part, old_users(self.parent))
        self._start = start_from(self.parent, model, data, self.settings)

    def _part_of_the_way(self, best: dict[str, Any], start: Start, data: ReplayDataset) -> dict[str, Any]:
        """Interpolate the trained weights with the parent's, unless validation chose the epoch."""
        if not self.settings["eval_step"]:
            share = data.new_targets / (data.new_targets + PARENT_EVENTS)
            weights = {name: start.state[name] for name in start.trained}
            best["state_dict"].update(part_of_the_way(weights, best["state_dict"], share, start.new_items))
        return best

    def _merge(self) -> Merged:
        """Merge the data, unless an interrupted run of this update has done it."""
        about = self.folder / MERGED
        if about.is_file():
            known = read_json(about)
            if known["record"] == self.record and known["merged"] and Path(self._data).is_dir():
                (self.folder / CONVERTED).unlink(missing_ok=True)
                return Merged(**known["merged"])
            if (self.folder / SHOWN).is_file() or self.folder in Path(
                self.parent.config["data_path"]
            ).absolute().parents:
                raise UpdateError(f"{self.folder} holds the data of another checkpoint. Give another --output.")
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UpdateError(f"{self.folder} already exists and belongs to something else. Give another --output.")
        discard(self.folder)
        with atomic_folder(self.folder) as draft:  # always with MERGED, which identifies the folder's update
            write_text(draft / MERGED, json.dumps({"record": self.record, "merged": None}))
        try:
            files = self._atomic_files()
            merged = merge(self.parent.config, files, self._data, self.caps, beside(self.output, QUARANTINE))
        except LongInterestError:
            discard(self.folder)
            raise
        write_text(about, json.dumps({"record": self.record, "merged": merged.to_dict()}))
        (self.folder / CONVERTED).unlink(missing_ok=True)
        return merged

    def _atomic_files(self) -> NewFiles:
        """Return the new files, after converting events of other formats to an ``.inter`` file."""
        if not needs_table(self.files.inter, self.settings):
            return self.files
        converted = self.folder / CONVERTED
        columns, time_format = self.settings.get("columns"), self.settings.get("time_format")
        write_inter(self.parent.config, self.files.inter, converted, columns, time_format)
        return replace(self.files, inter=converted)

    @property
    def _data(self) -> Path:
        return self.folder / str(self.parent.config["dataset"])

    def _config(self, parent: Config, folder: Path) -> Config:
        """Return the parent's config for the merged data in a folder."""
        config = copy.deepcopy(parent)
        values = {spec.name: self.parent.weights.get(values_key(spec.name)) for spec in self.parent.sources}
        levels = {name: value.tolist() for name, value in values.items() if value is not None}
        config.final_config_dict.update(
            data_path=str(folder),
            rating_levels=levels.pop("rating", None),
            source_levels=levels or None,
            resume=False,
            save_dataset=False,
            dataset_save_path=None,
            save_dataloaders=False,
            dataloaders_save_path=None,
        )
        if config["text_tuning"] not in (None, "none"):  # the encoder stays as the parent's training left it
            config.final_config_dict["text_tuning"] = "none"
        return config

    def _check_features(self, data: ReplayDataset) -> None:
        old = self.parent.data
        if data.features != old.features:
            raise UpdateError(f"The merged data has the features {data.features}, but the model has {old.features}.")

    def _say_who_is_left_out(self, data: ReplayDataset, merged: Merged) -> None:
        """Warn if filters of the training by the number of events also apply to new users or items."""
        for what, new, key in (("users", merged.users, USERS), ("items", merged.items, ITEMS)):
            if new and data.restricts(key):
                getLogger().warning(
                    f"The training's {key}: {data.config[key]} applies to the new {what}, too. Those outside it are "
                    "left out until they have other numbers of events."
                )

    def _write(
        self, best: dict[str, Any], last: dict[str, Any], data: ReplayDataset, entry: dict[str, Any], reviewed: Reviewed
    ) -> Path:
        """Write the new checkpoint, its report and the file from which training resumes; return the path."""
        place = self.output
        if reviewed.reasons:
            place = refused_name(self.output)
            reviewed.report["gate"]["refused"] = (
                f"{self.output.name} is not put in place: {'; '.join(reviewed.reasons)}. The checkpoint is kept as "
                f"{place.name}."
            )
        write_report(reviewed.report, reviewed.table, place)
        config = self._config(self.parent.config, data_folder(place) / str(self.parent.config["dataset"]))
        entry = {**entry, "made_by": f"recbole-longinterest {__version__}"}
        # A round trip through JSON: a pickle depends on which strings are shared, and a resumed update shares others.
        config["lineage"] = [*(config["lineage"] or []), json.loads(json.dumps(entry))]
        for group in last["optimizer"]["param_groups"]:  # a resumed training uses the parent's settings
            group.update(lr=config["learning_rate"], weight_decay=config["weight_decay"])
        # A later training on all data logs to its own folder; the update's log folder has a new name each time.
        logs = dict.fromkeys(last["run"]["logs"])
        last["run"].update(rows=data.full_rows, stopped=False, best_file=place.name, logs=logs)
        with atomic_file(self.folder / SHOWN) as draft, draft.open("wb") as file:
            np.save(file, data.shown, allow_pickle=False)
        # Before the checkpoint: otherwise a kill would leave a checkpoint whose data folder is not known to the user.
        remember("data_path", (data_folder(place) / str(self.parent.config["dataset"])).resolve())
        save_checkpoint({**last, "config": config}, place.with_name(place.name + LAST))
        save_checkpoint({**best, "config": config}, place)
        if place != self.output:  # the data folder moves last: until then the same command repeats these steps
            if beside(self.output, QUARANTINE).is_file():
                beside(self.output, QUARANTINE).replace(beside(place, QUARANTINE))
            if data_folder(place).exists():
                discard(data_folder(place))
            self.folder.rename(data_folder(place))
        remove(data_folder(place) / TRAINING)
        return place
