"""Helpers of the benchmarks over time: a log in time order, data sets of its parts, and ranks of events."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")

from common import ranks_among

from recbole_longinterest.common.files import write_text
from recbole_longinterest.nn.memory import last_items
from recbole_longinterest.plugin.runs.checkpoints import LAST, load_checkpoint
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config

EVERYTHING = {"split": {"RS": [1.0, 0.0, 0.0]}, "group_by": "user", "order": "TO", "mode": "full"}
"""No event is held out, because models are evaluated on later events."""
SETTINGS: dict[str, dict[str, Any]] = {
    "amazon-beauty-5core-norating": {"dropout_prob": 0.5, "hidden_dropout_prob": 0.5},
    "ml-latest-small": {},
}
BATCH = 256  # users encoded at once


@dataclass
class Log:
    """Events in time order; events at the same time keep the order of the file.

    Attributes:
        name: name of the data set.
        header: first line of the ``.inter`` file.
        lines: lines of the events.
        users: user token of each event, object [n].
        items: item token of each event, object [n].
        ratings: rating of each event, NaN if missing, float64 [n].
        times: time of each event, float64 [n].
        item_file: content of the ``.item`` file.
    """

    name: str
    header: str
    lines: np.ndarray
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    item_file: str

    @classmethod
    def read(cls, folder: Path, name: str) -> "Log":
        """Read ``<folder>/<name>/<name>.inter`` and ``.item``."""
        source = folder / name / f"{name}.inter"
        header, *lines = source.read_text(encoding="utf-8").splitlines()
        cells = [line.split("\t") for line in lines]
        names = [column.partition(":")[0] for column in header.split("\t")]
        column = {key: np.array([row[place] for row in cells], dtype=object) for place, key in enumerate(names)}
        times = column["timestamp"].astype(np.float64)
        order = np.argsort(times, kind="stable")
        ratings = column["rating"].astype(np.float64) if "rating" in column else np.full(len(times), np.nan)
        return cls(
            name,
            header,
            np.array(lines, dtype=object)[order],
            column["user_id"][order],
            column["item_id"][order],
            ratings[order],
            times[order],
            source.with_suffix(".item").read_text(encoding="utf-8"),
        )

    def __len__(self) -> int:
        """Number of events."""
        return len(self.lines)

    def event(self, row: int) -> Event:
        """Event of a row."""
        rating = self.ratings[row]
        return Event(self.items[row], None if np.isnan(rating) else float(rating), time=float(self.times[row]))

    def write(self, path: Path, rows: Any) -> Path:  # noqa: ANN401 - an index
        """Write events as an ``.inter`` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "\n".join([self.header, *self.lines[rows], ""]))
        return path

    def write_dataset(self, root: Path, rows: Any) -> Path:  # noqa: ANN401
        """Write a data set of some events with all item texts; returns its parent folder."""
        self.write(root / self.name / f"{self.name}.inter", rows)
        (root / self.name / f"{self.name}.item").write_text(self.item_file, encoding="utf-8")
        return root

    def item_table(self) -> pd.DataFrame:
        """The item file as a table."""
        head, *lines = [line.split("\t") for line in self.item_file.splitlines()]
        return pd.DataFrame(lines, columns=[name.partition(":")[0] for name in head])

    def write_items(self, path: Path, tokens: set[str]) -> Path:
        """Write the rows of some items as an ``.item`` file."""
        first, *lines = self.item_file.splitlines()
        chosen = [line for line in lines if line.split("\t", 1)[0] in tokens]
        path.write_text("\n".join([first, *chosen, ""]), encoding="utf-8")
        return path


def train_on(root: Path, name: str, work: Path, settings: Mapping[str, Any]) -> tuple[Path, float]:
    """Train on a data set, on all events unless ``eval_args`` says otherwise, or resume a killed training.

    Returns:
        The checkpoint, and the seconds of the training; for a resumed training, extrapolated to all epochs.
    """
    given = {
        **SETTINGS.get(name, {}),
        "eval_args": EVERYTHING,
        **settings,
        "data_path": str(root),
        "checkpoint_dir": str(work),
        "eval_step": 0,
        "resume": True,
        "show_progress": False,
        "state": "WARNING",
    }
    config = make_config("LongInterest", name, config_dict=given)
    from recbole_longinterest.plugin.runs.files import own_name

    checkpoint = work / f"{own_name(config)}.pth"
    last = checkpoint.with_name(checkpoint.name + LAST)
    before = load_checkpoint(last)["epoch"] + 1 if last.is_file() else 0
    began = monotonic()
    pipeline.train(config)
    return checkpoint, (monotonic() - began) * config["epochs"] / max(config["epochs"] - before, 1)


def histories(log: Log, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each user of some events: indices of all their events up to the last chosen one, and a mask of these.

    Args:
        log: the log.
        rows: indices of the chosen events, ascending.
    """
    wanted = np.zeros(len(log), dtype=bool)
    wanted[rows] = True
    events = pd.Series(np.arange(len(log))).groupby(log.users, sort=False).indices
    for user in dict.fromkeys(log.users[rows]):
        mine = np.sort(events[user])
        mine = mine[: np.flatnonzero(wanted[mine])[-1] + 1]
        yield mine, wanted[mine]


@torch.no_grad()
def ranks(model: Recommender, log: Log, rows: np.ndarray, among: torch.Tensor | None = None) -> np.ndarray:
    """Rank each event's item, given its user's earlier events, among all items that the model knows.

    Args:
        model: a served model; unknown items of a history are ignored.
        log: the log.
        rows: indices of the events to predict, ascending.
        among: ids of the items to rank; None for all.

    Returns:
        Ranks from 1, [len(rows)]; items with the same score count half. Infinite if the model does not know the item or
        any earlier event; NaN for a user's first event, which has no history.
    """
    found = dict.fromkeys(rows.tolist(), np.inf)
    pending: list[tuple[Any, np.ndarray, np.ndarray]] = []

    def flush() -> None:
        if not pending:
            return
        read = [model.window(history) for history, _, _ in pending]
        width = max(len(items) for items, _ in read)
        item_seq = torch.zeros(len(read), width, dtype=torch.int64)
        levels = {name: torch.zeros(len(read), width, dtype=torch.int64) for name in model.sides}
        for place, (items, sides) in enumerate(read):
            item_seq[place, : len(items)] = items
            for name in model.sides:
                levels[name][place, : len(items)] = sides[name]
        interest = model.network(item_seq, levels, model.items)
        for place, (history, targets, known_before) in enumerate(pending):
            ids = torch.tensor([model.item_id(log.items[row]) for row in targets])
            had = [history.item_seq[:number] for number in known_before]
            recent = last_items(torch.from_numpy(history.item_seq).expand(len(had), -1), torch.from_numpy(known_before))
            scores = model.scores_of(interest[place, torch.from_numpy(known_before) - 1], had, recent)
            wanted = scores.gather(1, ids.unsqueeze(1))
            pool = scores[:, 1:] if among is None else scores[:, among]
            rank = ranks_among(pool, wanted).tolist()
            for row, value, item in zip(targets.tolist(), rank, ids.tolist(), strict=True):
                found[row] = value if item else np.inf
        pending.clear()

    for mine, is_target in histories(log, rows):
        found[mine[0]] = np.nan
        known = np.array([bool(model.item_id(item)) for item in log.items[mine]])
        before = np.cumsum(known) - known
        targets = is_target & (before > 0)
        if targets.any():
            history = model.reader.read_columns(log.items[mine], {"rating": log.ratings[mine], "time": log.times[mine]})
            pending.append((history, mine[targets], before[targets]))
        if len(pending) == BATCH:
            flush()
    flush()
    return np.array([found[row] for row in rows.tolist()])
