"""Checks of a comparison: before anything is trained, and that all models ranked the same candidates."""

from collections.abc import Sequence
from logging import getLogger
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.cell import FAILED, FINISHED, Cell
from recbole_longinterest.experiments.comparison.cells import reason
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.quiet import without_warnings
from recbole_longinterest.plugin.known_keys import STRICT, known_keys
from recbole_longinterest.plugin.runs import dataset_cache


def check_plan(plan: Plan, todo: Sequence[Cell]) -> tuple[dict[str, data.Fingerprint], set[tuple[str, str]]]:
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
            errors[dataset] = reason(error)
            cannot.add((dataset, name))
            for other in todo:
                if (other.dataset, other.name) == (dataset, name) and not other.finished:
                    other.end(FAILED, error=errors[dataset])
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
            if plan.given.get(STRICT, True):
                raise LongInterestError(f"{message} Take it out, or set {STRICT}: False to go on.")
            getLogger().warning(message)
    for cell in todo:
        if (cell.dataset, cell.name) in settings and cell.dataset in expected:
            change = cell.differs(*settings[cell.dataset, cell.name], expected[cell.dataset])
            if change:
                raise LongInterestError(
                    f"{cell.folder} holds a finished run that is not what it would be today: {change}. Remove that "
                    "folder, or give another --output."
                )
    return expected, cannot


def check_candidates(todo: Sequence[Cell]) -> None:
    """Sampled candidates are the same for all models of a seed, or their results cannot be compared."""
    first: dict[tuple[str, int], tuple[str, str]] = {}
    for cell in todo:
        result = cell.result()
        if result is None or result["status"] != FINISHED or result["candidates"] is None:
            continue
        name, candidates = first.setdefault((cell.dataset, cell.seed), (cell.name, result["candidates"]))
        if candidates != result["candidates"]:
            raise LongInterestError(
                f"{cell.name} was ranked among other candidates than {name} on {cell.dataset}, seed {cell.seed}. "
                f"Use full ranking, or leave {cell.name} out."
            )
