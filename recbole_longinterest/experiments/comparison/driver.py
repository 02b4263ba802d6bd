"""A comparison from its plan to its cells: one process a cell, one after another, nothing done twice."""

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import make_folder, write_text
from recbole_longinterest.common.signals import children_without_ctrl_c
from recbole_longinterest.experiments.comparison import cells, data, lists
from recbole_longinterest.experiments.comparison.cell import FAILED, MISMATCH, RESULT, Cell
from recbole_longinterest.experiments.comparison.checks import check_candidates, check_plan
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.variants import (
    Variant,
    settings_of,
)
from recbole_longinterest.experiments.epochs import read_epochs

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


def run_plan(plan: Plan, output: Path, show_progress: bool = True) -> Outcome:
    """Run the cells of a plan that are not finished.

    Args:
        plan: what to do.
        output: folder of all its files; cells of the same settings that are finished in it are not run again.
        show_progress: show a progress bar.

    Returns:
        The outcome. After Ctrl-C it is one that is marked as interrupted.

    Raises:
        ValueError: for a plan that does not hold, and where a model is given other data than the others.
    """
    output = output.resolve()
    make_folder(output)
    with lock_files(output / PLAN, "comparing in", "give another --output"):
        return _run_plan(plan, output, show_progress)


def _run_plan(plan: Plan, output: Path, show_progress: bool) -> Outcome:
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
            for cell in todo:
                if (cell.dataset, cell.name) not in cannot:
                    _finish(cell, expected, bar)
                bar.update()
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


def _finish(cell: Cell, expected: dict[str, data.Fingerprint], bar: tqdm) -> None:
    """Run a cell unless it is finished; one that failed is tried again, from where it was."""
    if cell.finished:
        cells.tidy(cell)
        return
    (cell.folder / RESULT).unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(target=cells.work, args=(cell, expected[cell.dataset]))
    with children_without_ctrl_c():
        process.start()
    try:
        shown = None
        while process.is_alive():
            epochs = read_epochs(cell.folder)
            done = f", epoch {epochs[-1]['epoch']}, {epochs[-1]['valid_score']:.4f}" if epochs else ""
            if done != shown:
                shown = done
                bar.set_postfix_str(f"{cell.dataset}, {cell.name}, seed {cell.seed}{done}")
            process.join(0.5)
    except BaseException:
        process.terminate()
        process.join()
        raise
    result = cell.result()
    if result is None:
        cell.end(
            FAILED,
            error=f"The process ended with code {process.exitcode} (-9: out of memory); see {cell.folder / 'log.txt'}.",
        )
    elif result["status"] == MISMATCH:
        raise LongInterestError(result["error"])
    elif result["status"] == FAILED:
        bar.write(f"{cell.dataset}, {cell.name}, seed {cell.seed} failed: {result['error']}")
