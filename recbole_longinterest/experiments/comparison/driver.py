"""Run a comparison: make the cells of its plan, and run those that are not finished."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import make_folder, write_text
from recbole_longinterest.common.notebook import progress_bar
from recbole_longinterest.experiments.comparison import lists
from recbole_longinterest.experiments.comparison.cell import FAILED, Cell
from recbole_longinterest.experiments.comparison.checks import check_candidates, check_plan
from recbole_longinterest.experiments.comparison.jobs import Machines, run_cells
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.protocol import NATIVE, PROTOCOLS
from recbole_longinterest.experiments.comparison.seedless import seeds_to_run
from recbole_longinterest.experiments.comparison.variants import Variant, settings_of
from recbole_longinterest.experiments.comparison.views import USUAL, About, Place

if TYPE_CHECKING:
    from recbole_longinterest.experiments.comparison.cluster import OnRay

PLAN = "compare.json"


@dataclass(frozen=True)
class Outcome:
    """The state of a comparison.

    Attributes:
        plan: the plan.
        cells: all of its cells, in the order of the plan.
        interrupted: whether it was stopped early.
        same: notes on rows without cells, because another row has the same settings; and notes on external lists.
        about: facts about the data of each table.
    """

    plan: Plan
    cells: Sequence[Cell]
    interrupted: bool
    same: Sequence[str] = ()
    about: Mapping[str, About] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """Rows that could not run, each with its table, seeds and reason."""
        seeds: dict[tuple[str, str, str], list[str]] = {}
        for cell in self.cells:
            result = cell.result()
            if result is not None and result["status"] == FAILED:
                seeds.setdefault((cell.table, cell.name, result["error"]), []).append(str(cell.seed))
        return [
            f"{table}, {name}, seed {', '.join(dict.fromkeys(of))}: {why}" for (table, name, why), of in seeds.items()
        ]


def run_plan(
    plan: Plan, output: Path, show_progress: bool = True, jobs: int | None = None, on_ray: "OnRay | None" = None
) -> Outcome:
    """Run the cells of a plan that are not finished.

    Args:
        plan: the plan.
        output: folder of all files; finished cells in it with the same settings are reused.
        show_progress: whether to show a progress bar.
        jobs: number of parallel cells, each in its own process; with more than one, each has one thread. None for one,
            or with ``on_ray`` for as many as fit.
        on_ray: spread the cells over a Ray cluster whose nodes all see ``output``; None for this machine.

    Returns:
        The outcome, marked as interrupted after Ctrl-C.

    Raises:
        ValueError: if the plan cannot run, or a model has other data than the others.
    """
    output = output.resolve()
    make_folder(output)
    with lock_files(output / PLAN, "comparing in", "give another --output"):
        if on_ray is None:
            return _run_plan(plan, output, show_progress, jobs or 1, None)
        # Late: only comparisons on a cluster need ray.
        from recbole_longinterest.experiments.comparison.cluster import Cluster
        from recbole_longinterest.plugin.ray_session import ray_session

        with ray_session(on_ray.address):
            return _run_plan(plan, output, show_progress, jobs or on_ray.room(), Cluster(on_ray))


def _run_plan(plan: Plan, output: Path, show_progress: bool, jobs: int, machines: Machines | None) -> Outcome:
    seed = next(iter(plan.seeds), 0)
    made = lists.list_cells(plan.lists, plan.lists_columns, plan.datasets, plan.given, seed, output, plan.views)
    todo, same = without_twins(
        [*(cell for planned in order_of(plan) for cell in cells_of(plan, *planned, output)), *made]
    )
    lists.check_names(todo)
    expected, cannot, about = check_plan(plan, todo)
    lists.check_lists(todo)
    write_text(output / PLAN, json.dumps(plan.__dict__, indent=1, default=str) + "\n")
    interrupted = False
    with progress_bar(total=len(todo), unit="cell", disable=not show_progress, desc="compare") as bar:
        try:
            can = [cell for cell in todo if cell.row not in cannot]
            bar.update(len(todo) - len(can))
            run_cells(can, expected, bar, jobs, machines)
        except KeyboardInterrupt:
            interrupted = True
    check_candidates(todo)
    return Outcome(plan, todo, interrupted, [*same, *lists.notes_of(todo)], about)


def order_of(plan: Plan) -> list[tuple[str, Variant, int, Place]]:
    """Order of the cells: table by table, and in a table run by run, so that early results are comparable."""
    rows = [(variant, seeds_to_run(variant, seeds, plan.datasets, plan.given)) for variant, seeds in plan.rows()]
    found = []
    for dataset, view in ((dataset, view) for dataset in plan.datasets for view in plan.views):
        runs = [(variant, view.runs(seeds[dataset])) for variant, seeds in rows]
        for run in range(max((len(of) for _, of in runs), default=0)):
            found += [
                (dataset, variant, of[run][0], Place(view, of[run][1], run)) for variant, of in runs if run < len(of)
            ]
    return found


def without_twins(cells_of_plan: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """Remove cells that equal another row's, such as GRU4Rec@200 if the tuned window is 200; also returns notes."""
    trains: dict[tuple[str, int, int, str], list[str]] = {}  # trainings of a row: one for both protocols, or one each

    def of_row(cell: Cell) -> tuple[str, int, int, str]:
        return (*cell.data_key, cell.seed, cell.name)

    def what(cell: Cell) -> tuple[str, int, int, str]:
        return (*cell.data_key, cell.seed, str(sorted(trains[of_row(cell)])))

    for cell in cells_of_plan:
        trains.setdefault(of_row(cell), []).append(cell.what)
    first: dict[tuple[str, int, int, str], str] = {}
    kept, same = [], []
    for cell in sorted(cells_of_plan, key=lambda cell: cell.kind not in ("model", "baseline")):  # these have priority
        first.setdefault(what(cell), cell.name)
    for cell in cells_of_plan:
        name = first[what(cell)]
        if name == cell.name:
            kept.append(cell)
        else:
            same.append(f"{cell.name} equals {name} on {cell.table}: they have the same settings.")
    return kept, list(dict.fromkeys(same))


def cells_of(plan: Plan, dataset: str, variant: Variant, seed: int, place: Place, output: Path) -> list[Cell]:
    """The cells of a row and a run: one, or one for each protocol if their tuned settings differ."""
    native, masked = (cell_of(plan, dataset, variant, seed, output, place, protocol) for protocol in PROTOCOLS)
    if native.what == masked.what:
        return [replace(native, protocol="")]
    return [native, masked]


def cell_of(
    plan: Plan,
    dataset: str,
    variant: Variant,
    seed: int,
    output: Path,
    place: Place = USUAL,
    protocol: str = "",
) -> Cell:
    """The cell of a row and a run, with the settings tuned for a protocol; the native ones if it is for both."""
    given = place.view.settings(plan.given, place.tie_seed)
    settings, source = settings_of(variant, dataset, given, protocol or NATIVE, plan.tuned_on)
    what = (variant.change, source, variant.kind)
    return Cell(dataset, variant.name, variant.model, seed, settings, *what, output, place, protocol)
