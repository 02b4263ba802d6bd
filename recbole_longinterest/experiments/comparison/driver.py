"""A comparison from its plan to its cells, of which nothing is done twice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import make_folder, write_text
from recbole_longinterest.experiments.comparison import lists
from recbole_longinterest.experiments.comparison.cell import FAILED, Cell
from recbole_longinterest.experiments.comparison.checks import check_candidates, check_plan
from recbole_longinterest.experiments.comparison.jobs import run_cells
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.variants import (
    Variant,
    settings_of,
)

PLAN = "compare.json"


@dataclass(frozen=True)
class Outcome:
    """What a comparison has so far.

    Attributes:
        plan: what was compared.
        cells: all of its cells, in the order of the plan.
        interrupted: whether it was stopped before its end.
        same: rows that another row is, with the same settings, in words; they have no cells. And what must be said of
            lists that were made elsewhere.
    """

    plan: Plan
    cells: Sequence[Cell]
    interrupted: bool
    same: Sequence[str] = ()

    @property
    def failed(self) -> list[str]:
        """Rows that could not run, each with its data set, its seeds and the reason."""
        seeds: dict[tuple[str, str, str], list[str]] = {}
        for cell in self.cells:
            result = cell.result()
            if result is not None and result["status"] == FAILED:
                seeds.setdefault((cell.dataset, cell.name, result["error"]), []).append(str(cell.seed))
        return [f"{dataset}, {name}, seed {', '.join(of)}: {why}" for (dataset, name, why), of in seeds.items()]


def run_plan(plan: Plan, output: Path, show_progress: bool = True, jobs: int = 1) -> Outcome:
    """Run the cells of a plan that are not finished.

    Args:
        plan: what to do.
        output: folder of all its files; cells of the same settings that are finished in it are not run again.
        show_progress: show a progress bar.
        jobs: cells at a time, each in a process; more than one have a thread each.

    Returns:
        The outcome. After Ctrl-C it is one that is marked as interrupted.

    Raises:
        ValueError: for a plan that does not hold, and where a model is given other data than the others.
    """
    output = output.resolve()
    make_folder(output)
    with lock_files(output / PLAN, "comparing in", "give another --output"):
        return _run_plan(plan, output, show_progress, jobs)


def _run_plan(plan: Plan, output: Path, show_progress: bool, jobs: int) -> Outcome:
    write_text(output / PLAN, json.dumps(plan.__dict__, indent=1, default=str) + "\n")
    made = lists.list_cells(
        plan.lists, plan.lists_columns, plan.datasets, plan.given, next(iter(plan.seeds), 0), output
    )
    todo, same = without_twins(
        [*(cell_of(plan, dataset, variant, seed, output) for dataset, variant, seed in order_of(plan)), *made]
    )
    lists.check_names(todo)
    expected, cannot = check_plan(plan, todo)
    lists.check_lists(todo)
    interrupted = False
    with tqdm(total=len(todo), unit="cell", disable=not show_progress, desc="compare") as bar:
        try:
            can = [cell for cell in todo if (cell.dataset, cell.name) not in cannot]
            bar.update(len(todo) - len(can))
            run_cells(can, expected, bar, jobs)
        except KeyboardInterrupt:
            interrupted = True
    check_candidates(todo)
    return Outcome(plan, todo, interrupted, [*same, *lists.notes_of(todo)])


def order_of(plan: Plan) -> list[tuple[str, Variant, int]]:
    """A data set after the other, in it a seed after the other: what there is early is comparable."""
    rows = plan.rows()
    return [
        (dataset, variant, seed)
        for dataset in plan.datasets
        for seed in plan.seeds
        for variant, seeds in rows
        if seed in seeds
    ]


def without_twins(cells_of_plan: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """Cells without those that another row is already, as GRU4Rec@200 where the tuned window is 200; and which."""
    first: dict[tuple[str, int, str], str] = {}
    kept, same = [], []
    for cell in sorted(cells_of_plan, key=lambda cell: cell.kind not in ("model", "baseline")):  # these stay
        first.setdefault((cell.dataset, cell.seed, cell.what), cell.name)
    for cell in cells_of_plan:
        name = first[cell.dataset, cell.seed, cell.what]
        if name == cell.name:
            kept.append(cell)
        else:
            same.append(f"{cell.name} is {name} on {cell.dataset}: its settings are the same.")
    return kept, list(dict.fromkeys(same))


def cell_of(plan: Plan, dataset: str, variant: Variant, seed: int, output: Path) -> Cell:
    """The cell of a row and a seed."""
    settings, source = settings_of(variant, dataset, plan.given)
    return Cell(dataset, variant.name, variant.model, seed, settings, variant.change, source, variant.kind, output)
