"""A comparison from its plan to its cells: one process a cell, one after another, nothing done twice."""

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole.config import Config
from tqdm import tqdm

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import make_folder, write_text
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.experiments.comparison import cells, data
from recbole_longinterest.experiments.comparison.cells import Cell
from recbole_longinterest.experiments.comparison.variants import (
    ABLATIONS,
    ROWS,
    Variant,
    ablation,
    settings_of,
    variant_of,
)
from recbole_longinterest.experiments.epochs import read_epochs
from recbole_longinterest.experiments.quiet import without_warnings
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.runs import dataset_cache
from recbole_longinterest.training.settings import keys_of_file, known_keys

PLAN = "compare.json"


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        models: rows of the comparison, each with all seeds.
        datasets: names of the data sets.
        seeds: seeds of every row.
        once: further rows, with the first seed alone.
        ablations: names of ablations of LongInterest.
        given: settings of every run.
        named: those of them that came from the command line, which some model must have.
    """

    models: Sequence[str]
    datasets: Sequence[str]
    seeds: Sequence[int]
    once: Sequence[str] = ()
    ablations: Sequence[str] = ()
    given: dict[str, Any] = field(default_factory=dict)
    named: Sequence[str] = ()

    def rows(self) -> list[tuple[Variant, Sequence[int]]]:
        """The rows and the seeds of each.

        Raises:
            ValueError: for an ablation that there is not.
        """
        known = {entry.name: entry for entry in ABLATIONS}
        unknown = [name for name in self.ablations if name not in known]
        if unknown:
            raise LongInterestError(f"There is no ablation {unknown[0]!r}; there are: {', '.join(known)}.")
        wanted = [(variant_of(name), self.seeds) for name in self.models]
        wanted += [(ablation(known[name]), self.seeds) for name in self.ablations]
        wanted += [(variant_of(name), self.seeds[:1]) for name in self.once]
        found: dict[str, tuple[Variant, Sequence[int]]] = {}
        for variant, seeds in wanted:
            found.setdefault(variant.name, (variant, seeds))
        return list(found.values())


@dataclass(frozen=True)
class Outcome:
    """What a comparison has so far.

    Attributes:
        plan: what was compared.
        cells: all of its cells, in the order of the plan.
        interrupted: whether it was stopped before its end.
        same: rows that another row is, with the same settings, in words; they have no cells.
    """

    plan: Plan
    cells: Sequence[Cell]
    interrupted: bool
    same: Sequence[str] = ()


def all_ablations(models: Sequence[str]) -> tuple[list[str], list[str]]:
    """What ``--ablations`` alone means: every ablation, and the rows that keep a win honest.

    Args:
        models: what is compared anyway.

    Returns:
        Names of ablations, and of further rows; those of a baseline that is not compared are left out.
    """
    missing = {row.model for row in ROWS if "@" in row.name} - set(models)
    return [entry.name for entry in ABLATIONS], [row.name for row in ROWS if row.model not in missing]


def read_settings(
    config_files: Sequence[str], settings: Mapping[str, object] | Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Settings of every run, by RecBole's own parsing.

    Args:
        config_files: yaml files, later ones win.
        settings: a mapping, or `--key=value` each; they win over the files.

    Returns:
        The settings, paths in them absolute, and the names of those from ``settings``.

    Raises:
        ValueError: for a file that is none.
    """
    for file in config_files:
        keys_of_file(Path(file))
    parser = Config.__new__(Config)
    parser.yaml_loader = parser._build_yaml_loader()
    if isinstance(settings, Mapping):
        named = parser._convert_config_dict(dict(settings))
    else:
        with command_line(settings):
            named = parser._load_cmd_line()
    given = {**parser._load_config_files(list(config_files)), **named}
    given.setdefault("data_path", "dataset")
    for name in ("data_path", "text_encoder", "text_vectors"):
        if isinstance(given.get(name), str) and Path(given[name]).exists():
            given[name] = str(Path(given[name]).resolve())
    own = [name for name in ("seed", "model", "dataset", "resume", "checkpoint_dir") if name in given]
    if own:
        raise LongInterestError(f"{own[0]} is compare's own to set; leave it out.")
    return given, list(named)


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
    todo, same = _without_twins(
        [_cell(plan, dataset, variant, seed, output) for dataset, variant, seed in _order(plan)]
    )
    expected, cannot = _check(plan, todo)
    interrupted = False
    with tqdm(total=len(todo), unit="cell", disable=not show_progress, desc="compare") as bar:
        try:
            for cell in todo:
                if (cell.dataset, cell.name) not in cannot:
                    _finish(cell, expected, bar)
                bar.update()
        except KeyboardInterrupt:
            interrupted = True
    _check_candidates(todo)
    return Outcome(plan, todo, interrupted, same)


def _order(plan: Plan) -> list[tuple[str, Variant, int]]:
    """A data set after the other, in it a seed after the other: what there is early is comparable."""
    rows = plan.rows()
    return [
        (dataset, variant, seed)
        for dataset in plan.datasets
        for seed in plan.seeds
        for variant, seeds in rows
        if seed in seeds
    ]


def _without_twins(cells_of_plan: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
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


def _cell(plan: Plan, dataset: str, variant: Variant, seed: int, output: Path) -> Cell:
    settings, source = settings_of(variant, dataset, plan.given)
    return Cell(dataset, variant.name, variant.model, seed, settings, variant.change, source, variant.kind, output)


def _check(plan: Plan, todo: Sequence[Cell]) -> tuple[dict[str, data.Fingerprint], set[tuple[str, str]]]:
    """Read every config, and every data set that they make, before anything is trained.

    Returns:
        What the data of each data set is, and the (data set, row) that cannot run; their cells have the error.
    """
    expected: dict[str, data.Fingerprint] = {}
    known: set[str] = set()
    errors: dict[str, str] = {}
    cannot: set[tuple[str, str]] = set()
    made: set[tuple[str, str]] = set()
    settings: dict[tuple[str, str], tuple[dict[str, Any], dict[str, str]]] = {}
    hashes: dict[str, dict[str, str]] = {}
    first = {(cell.dataset, cell.name): cell for cell in reversed(todo)}
    for (dataset, name), cell in sorted(first.items(), key=lambda entry: todo.index(entry[1])):
        try:
            with without_warnings():
                config = cell.config()
                known |= known_keys(config)
                read = repr((dataset, config["text_vectors"], config["load_col"]))
                if read not in hashes:
                    hashes[read] = data.file_hashes(config)
                settings[dataset, name] = dict(config.final_config_dict), hashes[read]
                key = (
                    dataset,
                    repr((dataset_class(config).__name__, sorted(dataset_cache.arguments(config).items()))),
                )
                if key in made and not cell.change:
                    continue
                made.add(key)
                whole = data.make_dataset(config, cell.change)
                parts = whole.build()
                found = data.fingerprint(whole, parts)
                if config["eval_args"]["mode"]["test"] != "full" and found.rows[2] != data.users_of(parts[2]):
                    raise LongInterestError(
                        "Sampled candidates (uni100, pop100) need a split with one test row a user, as LS; got "
                        f"{found.rows[2]} rows of {data.users_of(parts[2])} users."
                    )
        except data.DataMismatch:
            raise
        except Exception as error:
            errors[dataset] = cells.reason(error)
            cannot.add((dataset, name))
            for other in todo:
                if (other.dataset, other.name) == (dataset, name) and not _finished(other):
                    other.end(cells.FAILED, error=errors[dataset])
            continue
        if dataset in expected:
            expected[dataset].check(found, dataset, name)
        expected.setdefault(dataset, found)
    nothing = [dataset for dataset in plan.datasets if dataset not in expected]
    if nothing:
        raise LongInterestError(errors[nothing[0]])
    for name in plan.given:
        if name not in known and not name.startswith("alias_of_"):
            message = f"None of the models has a setting {name}."
            if name in plan.named:
                raise LongInterestError(message)
            getLogger().warning(message)  # a file may serve other commands, too
    for cell in todo:
        if (cell.dataset, cell.name) in settings and cell.dataset in expected:
            change = cell.differs(*settings[cell.dataset, cell.name], expected[cell.dataset])
            if change:
                raise LongInterestError(
                    f"{cell.folder} holds a finished run that is not what it would be today: {change}. Remove that "
                    "folder, or give another --output."
                )
    return expected, cannot


def _finished(cell: Cell) -> bool:
    result = cell.result()
    return result is not None and result["status"] == cells.FINISHED


def _finish(cell: Cell, expected: dict[str, data.Fingerprint], bar: tqdm) -> None:
    """Run a cell unless it is finished; one that failed is tried again, from where it was."""
    if _finished(cell):
        return
    (cell.folder / cells.RESULT).unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(target=cells.work, args=(cell, expected[cell.dataset]))
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
            cells.FAILED,
            error=f"The process ended with code {process.exitcode} (-9: out of memory); see {cell.folder / 'log.txt'}.",
        )
    elif result["status"] == cells.MISMATCH:
        raise LongInterestError(result["error"])
    elif result["status"] == cells.FAILED:
        bar.write(f"{cell.dataset}, {cell.name}, seed {cell.seed} failed: {result['error']}")


def _check_candidates(todo: Sequence[Cell]) -> None:
    """Sampled candidates are the same for all models of a seed, or their results cannot be compared."""
    first: dict[tuple[str, int], tuple[str, str]] = {}
    for cell in todo:
        result = cell.result()
        if result is None or result["status"] != cells.FINISHED or result["candidates"] is None:
            continue
        name, candidates = first.setdefault((cell.dataset, cell.seed), (cell.name, result["candidates"]))
        if candidates != result["candidates"]:
            raise LongInterestError(
                f"{cell.name} was ranked among other candidates than {name} on {cell.dataset}, seed {cell.seed}. "
                f"Use full ranking, or leave {cell.name} out."
            )
