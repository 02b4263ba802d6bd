"""One cell of a comparison: a training run with its settings, RecBole config, folder and result.

Files of the folder: ``cell.json`` (the definition), ``epochs.jsonl``, ``ranks.parquet`` (a line per test row; the ranks
of each protocol come from the epoch with the best validation score in that protocol), the checkpoints of these epochs,
``log.txt``, and ``result.json`` (the outcome with the manifest), which is written last.
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from recbole.config.configurator import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.data.ties import RANDOM
from recbole_longinterest.experiments.comparison import data, general, models
from recbole_longinterest.experiments.comparison.protocol import MASKED, METRICS
from recbole_longinterest.experiments.comparison.views import USUAL, Place
from recbole_longinterest.plugin.baselines.computed.base import ComputedRecommender
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.known_keys import STRICT
from recbole_longinterest.plugin.runs.choices import SETTING, entries_of
from recbole_longinterest.plugin.runs.files import FREE
from recbole_longinterest.training.settings import make_config

RESULT, RANKS = "result.json", "ranks.parquet"
FINISHED, FAILED, MISMATCH = "finished", "failed", "other data"


DataKey = tuple[str, int]
"""A table, and a seed of the order of ties."""
RowKey = tuple[str, int, str, str]
"""A table, a seed of the order of ties, a protocol or "" for both, and a row of the comparison."""


class CannotRun(LongInterestError):
    """A row cannot run because the data set lacks columns; the other rows run."""


@dataclass(frozen=True)
class Cell:
    """One training run and its test.

    Attributes:
        dataset: name of the data set.
        name: row of the comparison.
        model: RecBole's name of the model, or ``module:Class``.
        seed: seed of the training.
        settings: all settings except the seed.
        change: a change of the data, or "".
        source: where the settings come from.
        kind: see :class:`~recbole_longinterest.experiments.comparison.variants.Variant`.
        output: folder of the comparison, absolute.
        place: order of ties and split, which its settings contain too, and number of the run.
        protocol: the protocol that the cell is for, if protocols have different settings; empty for both.
    """

    dataset: str
    name: str
    model: str
    seed: int
    settings: dict[str, Any]
    change: str
    source: str
    kind: str
    output: Path
    place: Place = USUAL
    protocol: str = ""

    @property
    def row(self) -> RowKey:
        """Key of all cells with the same settings and data."""
        return (*self.data_key, self.protocol, self.name)

    @property
    def table(self) -> str:
        """Name of the cell's table: the data set, with order of ties and split unless they are the defaults."""
        return self.place.view.table(self.dataset)

    @property
    def data_key(self) -> DataKey:
        """Key of all cells with the same data: the table, and the seed of the order of ties."""
        return self.table, self.place.tie_seed

    @property
    def run(self) -> str:
        """The cell's seeds in words."""
        shuffled = f", tie seed {self.place.tie_seed}" if self.place.view.ties == RANDOM else ""
        return f"seed {self.seed}{shuffled}"

    @property
    def folder(self) -> Path:
        """The cell's folder, named by a hash of its settings, so that results of other settings are not reused."""
        name = self.name.replace(" ", "-").replace(",", "")
        return self.output / "cells" / self.dataset / f"{name}-{self.seed}-{sha256(self.what.encode()).hexdigest()[:8]}"

    @property
    def what(self) -> str:
        """Definition of the training without data set and seed, as text."""
        return json.dumps([self.settings, self.change, self.model], sort_keys=True, default=str)

    def config(self) -> Config:
        """Make RecBole's config, which writes its files into the cell's folder."""
        own = {"seed": self.seed, "checkpoint_dir": str(self.folder), "resume": True, "show_progress": False}
        own |= {"save_dataloaders": False, "dataloaders_save_path": None}  # run_cell checks the split
        own |= {SETTING: list(dict.fromkeys([MASKED, *entries_of(self.settings.get(SETTING))]))}
        own |= {STRICT: False}  # all models get all settings; check_plan requires that one of them knows each
        models.register()
        pairs = general.is_general(self.model)
        settings = {**({"eval_args": general.LEAVE_ONE_OUT} if pairs else {}), **self.settings, **own}
        with command_line(()):
            config = make_config(self.model, self.dataset, (), settings)
        if pairs:
            general.as_sequential(config)
        if issubclass(config.model_class, ComputedRecommender):
            config["epochs"] = 1  # even if the other models get more
        chosen_by = str(config["valid_metric"])
        if chosen_by.split("@")[0].lower() not in METRICS:
            raise LongInterestError(f"valid_metric must be one of {', '.join(METRICS)}, as NDCG@10; got {chosen_by}.")
        if pairs and config["eval_args"]["mode"]["test"] != "full":
            raise LongInterestError(
                f"RecBole draws other candidates for {self.model}, a general model, than for sequential models. Use "
                "full ranking, or leave it out."
            )
        if pairs and config["target_behavior"]:
            raise LongInterestError(
                f"{self.model}, a general model, cannot use the events of other behaviours; with target_behavior it "
                "would learn from fewer events than sequential models. Leave it out."
            )
        if config["eval_step"] < 1 or config["nproc"] not in (None, 1):
            raise LongInterestError(
                "A comparison chooses the epoch on the validation data in one process: set eval_step to at least 1, "
                "and nproc to 1."
            )
        if "selected_features" in config and config["load_col"] is not None and "item" not in config["load_col"]:
            columns = self.settings.get("selected_features") or [data.feature_column(config)]
            if None in columns:
                raise CannotRun(f"{self.model} reads an item feature, and {self.dataset} has no .item column for it.")
            config["selected_features"] = columns
            config["load_col"] = {**config["load_col"], "item": [config["ITEM_ID_FIELD"], *columns]}
        return config

    def result(self) -> dict[str, Any] | None:
        """The cell's result; None if it has not ended."""
        file = self.folder / RESULT
        return read_json(file) if file.is_file() else None

    @property
    def finished(self) -> bool:
        """Whether the cell was trained and tested."""
        result = self.result()
        return result is not None and result["status"] == FINISHED

    def differs(self, settings: dict[str, Any], files: dict[str, str], found: data.Fingerprint) -> str:
        """Describe a difference between the finished result and what a run would use now; "" without a difference.

        This finds changes that the folder's name does not show: of defaults, and of the data's files.

        Args:
            settings: all settings of the row, resolved.
            files: hashes of the data's files.
            found: fingerprint of the data.
        """
        result = self.result()
        if result is None or result["status"] != FINISHED:
            return ""
        made = result["manifest"]
        for name in sorted(set(settings) & set(made["config"])):
            before, now = made["config"][name], _plain(settings[name])
            if before != now and (name == "epochs" or name not in FREE) and name != "seed":
                return f"{name} was {before!r} and is {now!r}"
        for name, digest in files.items():
            if made["files"].get(name) != digest:
                return f"{name} has changed"
        return "" if result["data"] == _plain(asdict(found)) else "its data was different"

    def end(self, status: str, **more: object) -> None:
        """Write the result file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {name: value for name, value in asdict(self).items() if name not in ("output", "settings")}
        write_text(self.folder / RESULT, json.dumps({**about, "status": status, **more}, indent=1, default=str) + "\n")


def _plain(value: object) -> object:
    """Convert a value to JSON and back."""
    return json.loads(json.dumps(value, default=str))


def rows_file(cell: Cell, found: dict[str, Any]) -> Path:
    """Path of the file that describes the test rows of a cell's data; ``found`` is its fingerprint as a dict."""
    order = f"-ties{cell.place.tie_seed}" if cell.place.view.ties == RANDOM else ""
    return cell.output / "cells" / cell.dataset / f"rows-{found['split'][:12]}-{found['interactions']}{order}.parquet"
