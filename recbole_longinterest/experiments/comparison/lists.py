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
from recbole_longinterest.experiments.comparison.cell import Cell, DataKey
from recbole_longinterest.experiments.comparison.list_files import UserLists, read_lists
from recbole_longinterest.experiments.comparison.list_ranks import ListRanks, rank_lists
from recbole_longinterest.experiments.comparison.variants import LISTS, settings_of, variant_of
from recbole_longinterest.experiments.comparison.views import TIE_SEEDS, USUAL, Place, View
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
        lists: ``NAME`` (with one data set) or ``NAME@DATASET`` -> file. ``@random-N`` after either: of the split with
            ties in random order N, 0 to 2.
        columns: the files' own names of ``user``, ``item``, ``rank``, ``score``.
        datasets: data sets of the comparison.
        given: settings of every run.
        seed: of the cells; nothing is drawn.
        output: folder of the comparison.
        views: of the comparison; lists are of the first one with their order of ties.

    Raises:
        LongInterestError: for a name that cannot be a row's, a data set or an order of ties that is not compared, and a
            missing file.
    """
    cells = []
    for key, path in lists.items():
        whole, order, number = key.partition(f"@{RANDOM}-")
        name, dataset = _row_of(whole, datasets)
        file = Path(path).resolve()
        if not file.is_file():
            raise LongInterestError(f"There is no file of lists {path} (for {key}).")
        place = _place_of(key, number if order else None, views)
        settings, _ = settings_of(variant_of(LIKE), dataset, place.view.settings(given, place.tie_seed))
        digest = file_hash(file)
        source = f"lists, SHA-256 {digest[:12]}"
        model = variant_of(LIKE).model
        cells.append(
            ListCell(
                *(dataset, name, model, seed, settings, "", source, LISTS, output, place),
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


def _place_of(key: str, number: str | None, views: Sequence[View]) -> Place:
    """Place of the lists of a key, in the order of the file (None) or in a random one by its number."""
    view = next((view for view in views if view.ties == (FILE if number is None else RANDOM)), None)
    if view is None and number is None:
        raise LongInterestError(
            f"Lists have the targets of one order of ties, and {key} does not say which random one. Write "
            f"{key}@{RANDOM}-N=FILE for the split of tie seed N, or compare with --ties {FILE},{RANDOM}."
        )
    if view is None:
        raise LongInterestError(f"{key}: no random order of ties is compared. Say --ties {FILE},{RANDOM}.")
    if number is None:
        return Place(view)
    if number not in map(str, range(TIE_SEEDS)):
        raise LongInterestError(f"{key}: the tie seeds of a comparison are 0 to {TIE_SEEDS - 1}; got {number!r}.")
    return Place(view, int(number), int(number))


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
    parts: dict[DataKey, data.Parts] = {}
    for cell in cells:
        if isinstance(cell, ListCell) and not cell.finished:
            with without_warnings():
                config = cell.config()
                if cell.data_key not in parts:
                    parts[cell.data_key] = data.make_dataset(config).build()
            cell.lists(config, parts[cell.data_key])


def notes_of(cells: Iterable[Cell]) -> list[str]:
    """What the report says of lists: how they were ranked, which are short, and in which one of several tables."""
    cells = list(cells)
    notes = []
    for cell in cells:
        if not isinstance(cell, ListCell):
            continue
        of = f"{cell.table}, tie seed {cell.place.tie_seed}" if cell.place.view.ties == RANDOM else cell.table
        notes += [f"{cell.name} on {of}: {note}" for note in (cell.result() or {}).get("notes", ())]
        tables = {each.table for each in cells if (each.dataset, each.name) == (cell.dataset, cell.name)}
        without = {each.table for each in cells if each.dataset == cell.dataset} - tables
        if without:
            note = f"{cell.name} has no lists for {'; '.join(sorted(without))}: a file has the targets of one split."
            notes += [note] * (note not in notes)
    return notes
