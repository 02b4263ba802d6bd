"""Rows of a comparison from other systems: read, check and rank top-k lists or scores in files.

Files are untrusted: they are read as plain data, and users and items must be known to the data set.
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
LIKE = "Pop"  # the row whose data, split and catalogue the lists are evaluated on


@dataclass(frozen=True)
class ListCell(Cell):
    """A cell with lists of another system instead of a training.

    Attributes:
        file: file of the lists, absolute.
        digest: SHA-256 of the file; a changed file is another cell.
        columns: names of the columns in the file.
    """

    file: Path = Path()
    digest: str = ""
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """Hash of the file and settings of the data, as text."""
        return json.dumps([super().what, self.digest, self.columns], sort_keys=True)

    def lists(self, config: Settings, parts: data.Parts) -> UserLists:
        """Read the file for the test part.

        Args:
            config: RecBole's config of the cell.
            parts: training, validation and test part.

        Raises:
            LongInterestError: if the file has changed since the comparison started, or cannot be used.
        """
        if config["eval_args"]["mode"]["test"] != "full":
            raise LongInterestError(
                f"{self.name}: lists are ranked among all items, but eval_args draws candidates "
                f"({config['eval_args']['mode']['test']}). Use full ranking, or leave the lists out."
            )
        rows, users = len(parts[2].inter_feat), data.users_of(parts[2])
        if rows > users:
            raise LongInterestError(
                f"{self.name}: there is one list for each user, but the {rows} test events belong to {users} users. "
                "Compare lists on a split with one test event per user: leave-one-out, or split_by_time with "
                "split_targets: first or last."
            )
        if not self.file.is_file() or file_hash(self.file) != self.digest:
            raise LongInterestError(f"{self.file} was changed or removed during the comparison. Run it again.")
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
    """Make a cell for each file of lists.

    Args:
        lists: ``NAME`` (with one data set) or ``NAME@DATASET`` -> file. A suffix ``@random-N`` selects the split with
            ties in random order N, 0 to 2.
        columns: names of ``user``, ``item``, ``rank``, ``score`` in the files.
        datasets: data sets of the comparison.
        given: settings of every run.
        seed: seed of the cells, which does not affect them.
        output: folder of the comparison.
        views: views of the comparison; lists belong to the first view with their order of ties.

    Raises:
        LongInterestError: if a name is not valid, a data set or order of ties is not in the comparison, or a file is
            missing.
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
    """Split a key of ``lists`` into the name of its row and its data set."""
    name, at, dataset = key.partition("@")
    if not NAME.fullmatch(name):
        raise LongInterestError(
            f"The name of lists must be letters, digits, spaces and . + - _, at most 60; got {name!r}. Write NAME=FILE."
        )
    if not at and len(datasets) > 1:
        raise LongInterestError(
            f"Lists belong to one data set, and there are {len(datasets)}: write {name}@DATASET=FILE."
        )
    dataset = dataset if at else datasets[0]
    if dataset not in datasets:
        raise LongInterestError(f"{key}: {dataset!r} is not compared; the data sets are {', '.join(datasets)}.")
    return name, dataset


def _place_of(key: str, number: str | None, views: Sequence[View]) -> Place:
    """Place of a key's lists: in file order if ``number`` is None, else in the random order with that number."""
    view = next((view for view in views if view.ties == (FILE if number is None else RANDOM)), None)
    if view is None and number is None:
        raise LongInterestError(
            f"Lists belong to one order of ties, and {key} does not name the random order. Write {key}@{RANDOM}-N=FILE "
            f"for the split of tie seed N, or compare with --ties {FILE},{RANDOM}."
        )
    if view is None:
        raise LongInterestError(f"{key}: the comparison has no random order of ties. Add --ties {FILE},{RANDOM}.")
    if number is None:
        return Place(view)
    if number not in map(str, range(TIE_SEEDS)):
        raise LongInterestError(f"{key}: the tie seeds of a comparison are 0 to {TIE_SEEDS - 1}; got {number!r}.")
    return Place(view, int(number), int(number))


def check_names(cells: Iterable[Cell]) -> None:
    """Check that no lists have the name of another row.

    Raises:
        LongInterestError: if lists do; the message names them.
    """
    cells = list(cells)
    names = {(cell.dataset, cell.name) for cell in cells if not isinstance(cell, ListCell)}
    for cell in cells:
        if isinstance(cell, ListCell) and (cell.dataset, cell.name) in names:
            raise LongInterestError(f"{cell.name} is already a row of the comparison. Give the lists another name.")


def check_lists(cells: Iterable[Cell]) -> None:
    """Check all files of lists that are not ranked yet, before training.

    Raises:
        LongInterestError: for the first file that cannot be used.
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
    """Notes of the report on lists: how they were ranked, which are short, and which tables have none."""
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
