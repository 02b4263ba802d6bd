"""Rows of a comparison that other systems made: top-k lists or scores in files, read, checked and ranked.

A file is data from outside: it is read as text, nothing in it is evaluated, and its names are looked up among those of
the data set.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.ties import FILE, RANDOM
from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.list_files import UserLists, read_lists
from recbole_longinterest.experiments.comparison.list_ranks import ListRanks, rank_lists
from recbole_longinterest.experiments.comparison.variants import LISTS, settings_of, variant_of
from recbole_longinterest.experiments.comparison.views import TIME, USUAL, Place, View
from recbole_longinterest.experiments.quiet import without_warnings

NAME = re.compile(r"\w[\w.+ -]{0,59}")
LIKE = "Pop"  # the row whose data, split and catalogue the lists are judged on


@dataclass(frozen=True)
class ListCell(Cell):
    """Lists of another system, in place of a training and its test.

    Attributes:
        file: of the lists, absolute.
        digest: SHA-256 of the file: a changed file is another cell.
        columns: the file's own names of its columns.
    """

    file: Path = Path()
    digest: str = ""
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """The file's content and the settings of the data."""
        return json.dumps([super().what, self.digest, self.columns], sort_keys=True)

    def lists(self, config: Settings, parts: data.Parts) -> UserLists:
        """Read the file for the test part.

        Args:
            config: of the cell.
            parts: training, validation and test part.

        Raises:
            LongInterestError: if the file has changed since it was planned, or cannot be used.
        """
        if config["eval_args"]["mode"]["test"] != "full":
            raise LongInterestError(
                f"{self.name}: lists are ranked among all items, and eval_args draws candidates "
                f"({config['eval_args']['mode']['test']}). Use full ranking, or leave the lists out."
            )
        if not self.file.is_file() or file_hash(self.file) != self.digest:
            raise LongInterestError(f"{self.file} was changed or removed while it was compared. Compare again.")
        return read_lists(self.file, parts[2], max(config["topk"]), self.columns)

    def rank(self, config: Settings, parts: data.Parts) -> ListRanks:
        """Read the file and rank every test target; see :meth:`lists`."""
        return rank_lists(self.lists(config, parts), parts, max(config["topk"]), self.name)


def list_cells(
    lists: Mapping[str, str],
    columns: Mapping[str, str],
    datasets: Sequence[str],
    given: Mapping[str, object],
    seed: int,
    output: Path,
    views: Sequence[View] = (USUAL.view,),
) -> list[ListCell]:
    """Cells of the lists, one each.

    Args:
        lists: ``NAME`` (with one data set) or ``NAME@DATASET`` -> file.
        columns: the files' own names of ``user``, ``item``, ``rank``, ``score``.
        datasets: data sets of the comparison.
        given: settings of every run.
        seed: of the cells; nothing is drawn.
        output: folder of the comparison.
        views: of the comparison; lists are of the first one in the order of the file.

    Raises:
        LongInterestError: for a name that cannot be a row's, a data set that is not compared, a missing file, and a
            comparison in random order alone, whose test targets are others in every run.
    """
    cells = []
    view = next((view for view in views if view.ties == FILE), None)
    if lists and view is None:
        raise LongInterestError(f"Lists have the targets of one order of ties. Say --ties {FILE},{RANDOM}.")
    for key, path in lists.items():
        name, dataset = _row_of(key, datasets)
        file = Path(path).resolve()
        if not file.is_file():
            raise LongInterestError(f"There is no file of lists {path} (for {key}).")
        assert view is not None  # there are lists
        settings, _ = settings_of(variant_of(LIKE), dataset, view.settings(given, 0))
        digest = file_hash(file)
        source = f"lists, SHA-256 {digest[:12]}"
        model = variant_of(LIKE).model
        cells.append(
            ListCell(
                *(dataset, name, model, seed, settings, "", source, LISTS, output, Place(view)),
                file=file,
                digest=digest,
                columns=dict(columns),
            )
        )
    return cells


def _row_of(key: str, datasets: Sequence[str]) -> tuple[str, str]:
    """Name of the row and data set of a key of ``lists``."""
    name, at, dataset = key.partition("@")
    if not NAME.fullmatch(name):
        raise LongInterestError(
            f"The name of lists must be letters, digits, spaces and . + - _, at most 60; got {name!r}. Write NAME=FILE."
        )
    if not at and len(datasets) > 1:
        raise LongInterestError(f"Lists are of one data set, and there are {len(datasets)}: write {name}@DATASET=FILE.")
    dataset = dataset if at else datasets[0]
    if dataset not in datasets:
        raise LongInterestError(f"{key}: {dataset!r} is not compared; the data sets are {', '.join(datasets)}.")
    return name, dataset


def check_names(cells: Iterable[Cell]) -> None:
    """Refuse lists with the name of another row.

    Raises:
        LongInterestError: names it.
    """
    cells = list(cells)
    names = {(cell.dataset, cell.name) for cell in cells if not isinstance(cell, ListCell)}
    for cell in cells:
        if isinstance(cell, ListCell) and (cell.dataset, cell.name) in names:
            raise LongInterestError(f"{cell.name} is a row of the comparison already. Give the lists another name.")


def check_lists(cells: Iterable[Cell]) -> None:
    """Read all files of lists that are not ranked yet, before anything is trained.

    Raises:
        LongInterestError: for the first that cannot be used.
    """
    parts: dict[str, data.Parts] = {}
    for cell in cells:
        if isinstance(cell, ListCell) and not cell.finished:
            with without_warnings():
                config = cell.config()
                if cell.dataset not in parts:
                    parts[cell.dataset] = data.make_dataset(config).build()
            cell.lists(config, parts[cell.dataset])


def notes_of(cells: Iterable[Cell]) -> list[str]:
    """What the report says of lists: how they were ranked, which are short, and in which one of several tables."""
    cells = list(cells)
    notes = []
    for cell in cells:
        if not isinstance(cell, ListCell):
            continue
        notes += [f"{cell.name} on {cell.table}: {note}" for note in (cell.result() or {}).get("notes", ())]
        others = {other.table for other in cells if other.dataset == cell.dataset} - {cell.table}
        if others:
            split = "split by time" if cell.place.view.split == TIME else "split of eval_args"
            notes.append(
                f"{cell.name} on {cell.dataset} is a row of one table, since a file has the targets of one split: ties "
                f"in the order of the file, {split}."
            )
    return notes
