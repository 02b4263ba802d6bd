"""Checks of a comparison: before anything is trained, and that all models ranked the same candidates."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from typing import Any

from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.cell import FAILED, FINISHED, CannotRun, Cell
from recbole_longinterest.experiments.comparison.cells import reason
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.quiet import without_warnings
from recbole_longinterest.plugin.known_keys import STRICT, known_keys
from recbole_longinterest.plugin.runs import dataset_cache

Row = tuple[str, str]
"""A data set and a row of the comparison."""


def check_plan(plan: Plan, todo: Sequence[Cell]) -> tuple[dict[str, data.Fingerprint], set[Row]]:
    """Read every config, and every data set that they make, before anything is trained.

    Returns:
        What the data of each data set is, and the (data set, row) that cannot run; their cells have the error.

    Raises:
        LongInterestError: says every model, setting and data set that cannot be used.
    """
    rows: dict[Row, Cell] = {}
    for cell in todo:
        rows.setdefault((cell.dataset, cell.name), cell)
    configs, cannot = _read_configs(rows)
    _check_settings(plan, list(configs.values()))
    settings = {row: dict(config.final_config_dict) for row, config in configs.items()}
    expected = _read_data(rows, configs, cannot)
    nothing = [dataset for dataset in plan.datasets if dataset not in expected]
    if nothing:
        raise LongInterestError(_together({row: why for row, why in cannot.items() if row[0] in nothing}))
    for cell in todo:
        why = cannot.get((cell.dataset, cell.name))
        if why is not None and not cell.finished:
            cell.end(FAILED, error=why)
    _check_finished(todo, configs, settings, expected)
    return expected, set(cannot)


def _read_configs(rows: Mapping[Row, Cell]) -> tuple[dict[Row, Config], dict[Row, str]]:
    """The config of every row.

    Returns:
        The configs, and the rows that the columns of the data do not allow, with the reason.

    Raises:
        LongInterestError: says all that is wrong with the models and their settings.
    """
    configs: dict[Row, Config] = {}
    cannot: dict[Row, str] = {}
    wrong: dict[Row, str] = {}
    for row, cell in rows.items():
        try:
            with without_warnings():
                configs[row] = cell.config()
        except CannotRun as error:
            cannot[row] = reason(error)
        except Exception as error:
            wrong[row] = reason(error)
    if wrong:
        raise LongInterestError(_together(wrong))
    return configs, cannot


def _check_settings(plan: Plan, configs: Sequence[Config]) -> None:
    """Refuse settings that no model has; ``strict_keys: False`` warns of them.

    Raises:
        LongInterestError: says which.
    """
    known = set().union(*(known_keys(config) for config in configs))
    unknown = [name for name in plan.given if name not in known and not name.startswith("alias_of_")]
    if not unknown:
        return
    message = f"None of the models has a setting {' or '.join(unknown)}."
    if plan.given.get(STRICT, True):
        raise LongInterestError(f"{message} Take it out, or set {STRICT}: False to go on.")
    getLogger().warning(message)


def _read_data(
    rows: Mapping[Row, Cell], configs: Mapping[Row, Config], cannot: dict[Row, str]
) -> dict[str, data.Fingerprint]:
    """What the data of each data set is; rows that cannot be run on it are added to ``cannot``."""
    expected: dict[str, data.Fingerprint] = {}
    made: dict[tuple[str, str, str], Row] = {}
    for row, config in configs.items():
        (dataset, name), change = row, rows[row].change
        key = (dataset, repr((dataset_class(config).__name__, sorted(dataset_cache.arguments(config).items()))), change)
        same = made.setdefault(key, row)
        if same != row:
            if same in cannot:
                cannot[row] = cannot[same]
            continue
        try:
            with without_warnings():
                found = _fingerprint(config, change)
        except Exception as error:
            cannot[row] = reason(error)
            continue
        expected.setdefault(dataset, found).check(found, dataset, name)
    return expected


def _fingerprint(config: Config, change: str) -> data.Fingerprint:
    whole = data.make_dataset(config, change)
    parts = whole.build()
    found = data.fingerprint(whole, parts)
    if config["eval_args"]["mode"]["test"] != "full" and found.rows[2] != data.users_of(parts[2]):
        raise LongInterestError(
            "Sampled candidates (uni100, pop100) need a split with one test row a user, as LS; got "
            f"{found.rows[2]} rows of {data.users_of(parts[2])} users."
        )
    return found


def _check_finished(
    todo: Sequence[Cell],
    configs: Mapping[Row, Config],
    settings: Mapping[Row, dict[str, Any]],
    expected: Mapping[str, data.Fingerprint],
) -> None:
    """Refuse a finished run that other data or defaults have made."""
    hashes: dict[str, dict[str, str]] = {}
    for cell in todo:
        config = configs.get((cell.dataset, cell.name))
        if config is None or not cell.finished:
            continue
        read = repr((cell.dataset, config["text_vectors"], config["load_col"]))
        if read not in hashes:
            hashes[read] = data.file_hashes(config)
        change = cell.differs(settings[cell.dataset, cell.name], hashes[read], expected[cell.dataset])
        if change:
            raise LongInterestError(
                f"{cell.folder} holds a finished run that is not what it would be today: {change}. Remove that "
                "folder, or give another --output."
            )


def _together(why: Mapping[Row, str]) -> str:
    """Reasons as one message: each once, with the rows that it is for unless it names them or is for all."""
    rows: dict[str, list[str]] = {}
    for (_, name), text in why.items():
        rows.setdefault(text, []).append(name)
    all_names = {name for _, name in why}
    return " ".join(
        text if set(names) == all_names or any(name in text for name in names) else f"{', '.join(names)}: {text}"
        for text, names in rows.items()
    )


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
