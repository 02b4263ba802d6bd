"""One cell of the comparison: what it trains, RecBole's config of it, its folder and its result.

Files of the folder: ``cell.json`` (what it is), ``epochs.jsonl``, ``ranks.parquet`` (a line a test row; each protocol's
ranks are of the epoch that it chose on the validation data), the checkpoints of these epochs, ``log.txt``, and
``result.json`` (how it ended, with the manifest), which is written last.
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
    """A row that the columns of a data set do not allow; the rows beside it run."""


@dataclass(frozen=True)
class Cell:
    """One training and its test.

    Attributes:
        dataset: name of the data set.
        name: row of the comparison.
        model: RecBole's name of the model, or ``module:Class``.
        seed: its seed.
        settings: everything but the seed.
        change: a change of the data, or "".
        source: where the settings come from.
        kind: see :class:`~recbole_longinterest.experiments.comparison.variants.Variant`.
        output: folder of the comparison, absolute.
        place: its place among the tables: the order of ties and the split, which its settings say too.
        protocol: the protocol whose table it is for, where each protocol has settings of its own; both if empty.
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
        """What has one and the same settings and data."""
        return (*self.data_key, self.protocol, self.name)

    @property
    def table(self) -> str:
        """Name of its table: of the data set, with the order of ties and the split where they are not the usual."""
        return self.place.view.table(self.dataset)

    @property
    def data_key(self) -> DataKey:
        """What has one and the same data: the table, and the seed of the order of ties."""
        return self.table, self.place.tie_seed

    @property
    def run(self) -> str:
        """Its seeds in words."""
        shuffled = f", tie seed {self.place.tie_seed}" if self.place.view.ties == RANDOM else ""
        return f"seed {self.seed}{shuffled}"

    @property
    def folder(self) -> Path:
        """Its folder: other settings have another one, so that nothing old is taken for new."""
        name = self.name.replace(" ", "-").replace(",", "")
        return self.output / "cells" / self.dataset / f"{name}-{self.seed}-{sha256(self.what.encode()).hexdigest()[:8]}"

    @property
    def what(self) -> str:
        """What it trains, but for data set and seed."""
        return json.dumps([self.settings, self.change, self.model], sort_keys=True, default=str)

    def config(self) -> Config:
        """RecBole's config, whose files go into the folder."""
        own = {"seed": self.seed, "checkpoint_dir": str(self.folder), "resume": True, "show_progress": False}
        own |= {"save_dataloaders": False, "dataloaders_save_path": None}  # run_cell checks the split when it is made
        own |= {SETTING: list(dict.fromkeys([MASKED, *entries_of(self.settings.get(SETTING))]))}
        own |= {STRICT: False}  # what is given goes to all models, and check_plan asks that one of them has it
        models.register()
        pairs = general.is_general(self.model)
        settings = {**({"eval_args": general.LEAVE_ONE_OUT} if pairs else {}), **self.settings, **own}
        with command_line(()):
            config = make_config(self.model, self.dataset, (), settings)
        if pairs:
            general.as_sequential(config)
        if issubclass(config.model_class, ComputedRecommender):
            config["epochs"] = 1  # also where the trained models beside it are given more
        chosen_by = str(config["valid_metric"])
        if chosen_by.split("@")[0].lower() not in METRICS:
            raise LongInterestError(f"valid_metric must be one of {', '.join(METRICS)}, as NDCG@10; got {chosen_by}.")
        if pairs and config["eval_args"]["mode"]["test"] != "full":
            raise LongInterestError(
                f"RecBole draws other candidates for {self.model}, a general model, than for sequential ones. Use full "
                "ranking, or leave it out."
            )
        if pairs and config["target_behavior"]:
            raise LongInterestError(
                f"{self.model}, a general model, has no history to read the other behaviours in; with target_behavior "
                "it would learn from less than the others. Leave it out."
            )
        if config["eval_step"] < 1 or config["nproc"] not in (None, 1):
            raise LongInterestError(
                "A comparison chooses the epoch on the validation data in one process: eval_step, nproc."
            )
        if "selected_features" in config and config["load_col"] is not None and "item" not in config["load_col"]:
            columns = self.settings.get("selected_features") or [data.feature_column(config)]
            if None in columns:
                raise CannotRun(f"{self.model} reads a feature of the items, and {self.dataset} has no .item column.")
            config["selected_features"] = columns
            config["load_col"] = {**config["load_col"], "item": [config["ITEM_ID_FIELD"], *columns]}
        return config

    def result(self) -> dict[str, Any] | None:
        """How it ended, None if it has not."""
        file = self.folder / RESULT
        return read_json(file) if file.is_file() else None

    @property
    def finished(self) -> bool:
        """Whether it was trained and tested."""
        result = self.result()
        return result is not None and result["status"] == FINISHED

    def differs(self, settings: dict[str, Any], files: dict[str, str], found: data.Fingerprint) -> str:
        """What its finished result was made with that is another now, in words; "" for nothing.

        Defaults that have changed since, and files of the data, are in no folder's name.

        Args:
            settings: all settings of its row, resolved.
            files: hashes of the data's files.
            found: what the data is.
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
        return "" if result["data"] == _plain(asdict(found)) else "its data was another"

    def end(self, status: str, **more: object) -> None:
        """Write down how it ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {name: value for name, value in asdict(self).items() if name not in ("output", "settings")}
        write_text(self.folder / RESULT, json.dumps({**about, "status": status, **more}, indent=1, default=str) + "\n")


def _plain(value: object) -> object:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value, default=str))


def rows_file(cell: Cell, found: dict[str, Any]) -> Path:
    """File of the descriptions of the test rows of a cell's data, from their fingerprint as a dict."""
    order = f"-ties{cell.place.tie_seed}" if cell.place.view.ties == RANDOM else ""
    return cell.output / "cells" / cell.dataset / f"rows-{found['split'][:12]}-{found['interactions']}{order}.parquet"
