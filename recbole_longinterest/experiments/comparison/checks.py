"""Check a comparison before training, and check afterwards that all models ranked the same candidates."""

from collections.abc import Iterable, Mapping, Sequence
from logging import getLogger
from typing import Any

from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.data.ties import ties_of_log
from recbole_longinterest.data.time_split import sentence
from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.cell import FAILED, FINISHED, CannotRun, Cell, DataKey, RowKey
from recbole_longinterest.experiments.comparison.cells import reason
from recbole_longinterest.experiments.comparison.own_rows import own_row
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.views import ENDS, About
from recbole_longinterest.experiments.quiet import without_warnings
from recbole_longinterest.plugin.known_keys import STRICT, known_keys
from recbole_longinterest.plugin.runs import dataset_cache


def check_plan(
    plan: Plan, todo: Sequence[Cell]
) -> tuple[dict[DataKey, data.Fingerprint], set[RowKey], dict[str, About]]:
    """Check every config and every data set before training.

    Returns:
        The fingerprint of the data of each table and tie seed; the rows that cannot run, whose cells have the error;
        and facts about the data of each table.

    Raises:
        LongInterestError: if models, settings or data sets cannot be used; the message lists them all.
    """
    rows: dict[RowKey, Cell] = {}
    for cell in todo:
        rows.setdefault(cell.row, cell)
    configs, cannot = _read_configs(rows)
    _check_settings(plan, list(configs.values()))
    _check_own_rows(plan, {rows[row].name: config for row, config in configs.items()})
    settings = {row: dict(config.final_config_dict) for row, config in configs.items()}
    about: dict[str, About] = {}
    expected = _read_data(rows, configs, cannot, about)
    nothing = {cell.data_key for cell in todo} - expected.keys()
    if nothing:
        raise LongInterestError(_together({row: why for row, why in cannot.items() if row[:2] in nothing}, rows))
    for cell in todo:
        why = cannot.get(cell.row)
        if why is not None and not cell.finished:
            cell.end(FAILED, error=why)
    _check_finished(todo, configs, settings, expected)
    return expected, set(cannot), about


def _read_configs(rows: Mapping[RowKey, Cell]) -> tuple[dict[RowKey, Config], dict[RowKey, str]]:
    """Make the config of every row.

    Returns:
        The configs; and the rows that cannot run because the data lacks columns, with the reason.

    Raises:
        LongInterestError: if models or settings are wrong; the message lists all errors.
    """
    configs: dict[RowKey, Config] = {}
    cannot: dict[RowKey, str] = {}
    wrong: dict[RowKey, str] = {}
    for row, cell in rows.items():
        try:
            with without_warnings():
                configs[row] = cell.config()
        except CannotRun as error:
            cannot[row] = reason(error)
        except Exception as error:
            wrong[row] = reason(error)
    if wrong:
        raise LongInterestError(_together(wrong, rows))
    return configs, cannot


def _check_settings(plan: Plan, configs: Sequence[Config]) -> None:
    """Raise an error for settings that no model has; with ``strict_keys: False``, log a warning instead.

    Raises:
        LongInterestError: if there are such settings; the message lists them.
    """
    known = set(ENDS).union(*(known_keys(config) for config in configs))
    unknown = [name for name in plan.given if name not in known and not name.startswith("alias_of_")]
    if not unknown:
        return
    message = f"None of the models has a setting {' or '.join(unknown)}."
    if plan.given.get(STRICT, True):
        raise LongInterestError(f"{message} Remove it, or set {STRICT}: False to continue.")
    getLogger().warning(message)


def _check_own_rows(plan: Plan, configs: Mapping[str, Config]) -> None:
    """Check the names of the settings of the rows of one's own.

    Raises:
        LongInterestError: for a setting that the row's model does not have.
    """
    for name, settings in plan.own_rows.items():
        config = configs.get(own_row(name, settings).name)
        if config is None or not plan.given.get(STRICT, True):
            continue
        unknown = [key for key in settings if key != "model" and key not in known_keys(config)]
        if unknown:
            raise LongInterestError(f"{config['model']} does not read {unknown[0]}, set by the row {name}. Remove it.")


def _read_data(
    rows: Mapping[RowKey, Cell], configs: Mapping[RowKey, Config], cannot: dict[RowKey, str], about: dict[str, About]
) -> dict[DataKey, data.Fingerprint]:
    """Fingerprint the data of each table; adds rows that cannot run to ``cannot``, and facts to ``about``."""
    expected: dict[DataKey, data.Fingerprint] = {}
    made: dict[tuple[str, str, str], RowKey] = {}
    for row, config in configs.items():
        (table, tie_seed, _, name), change = row, rows[row].change
        key = (
            rows[row].dataset,
            repr((dataset_class(config).__name__, sorted(dataset_cache.arguments(config).items()))),
            change,
        )
        same = made.setdefault(key, row)
        if same != row:
            if same in cannot:
                cannot[row] = cannot[same]
            continue
        try:
            with without_warnings():
                found, known = _fingerprint(config, change)
        except Exception as error:
            cannot[row] = reason(error)
            continue
        about.setdefault(table, known)
        expected.setdefault((table, tie_seed), found).check(found, table, name)
    return expected


def _fingerprint(config: Config, change: str) -> tuple[data.Fingerprint, About]:
    whole = data.make_dataset(config, change)
    whole.keeps_times = True
    parts = whole.build()
    found = data.fingerprint(whole, parts)
    if config["eval_args"]["mode"]["test"] != "full" and found.rows[2] != data.users_of(parts[2]):
        raise LongInterestError(
            "Sampled candidates (uni100, pop100) need a split with one test row per user: LS or split_targets: last; "
            f"got {found.rows[2]} rows of {data.users_of(parts[2])} users."
        )
    split = "" if whole.time_bounds is None else sentence(whole.time_bounds, whole.left_out)
    return found, About(ties_of_log(whole, parts), split)


def _check_finished(
    todo: Sequence[Cell],
    configs: Mapping[RowKey, Config],
    settings: Mapping[RowKey, dict[str, Any]],
    expected: Mapping[DataKey, data.Fingerprint],
) -> None:
    """Raise an error if a finished run was made with other data or defaults."""
    hashes: dict[str, dict[str, str]] = {}
    for cell in todo:
        config = configs.get(cell.row)
        if config is None or not cell.finished:
            continue
        read = repr((cell.dataset, config["text_vectors"], config["load_col"]))
        if read not in hashes:
            hashes[read] = data.file_hashes(config)
        change = cell.differs(settings[cell.row], hashes[read], expected[cell.data_key])
        if change:
            raise LongInterestError(
                f"{cell.folder} holds a finished run that would be different now: {change}. Remove that folder, or "
                "give another --output."
            )


def _together(why: Mapping[RowKey, str], of: Iterable[RowKey]) -> str:
    """Join reasons into one message, each once, after the names of its rows unless it has them or is for all rows."""
    rows: dict[str, list[str]] = {}
    for (*_, name), text in why.items():
        if name not in rows.setdefault(text, []):
            rows[text].append(name)
    all_names = {name for *_, name in of}
    return " ".join(
        text if set(names) == all_names or any(name in text for name in names) else f"{', '.join(names)}: {text}"
        for text, names in rows.items()
    )


def check_candidates(todo: Sequence[Cell]) -> None:
    """Check that all models of a seed have the same sampled candidates, so that their results are comparable."""
    first: dict[tuple[str, int, int], tuple[str, str]] = {}
    for cell in todo:
        result = cell.result()
        if result is None or result["status"] != FINISHED or result["candidates"] is None:
            continue
        name, candidates = first.setdefault((*cell.data_key, cell.seed), (cell.name, result["candidates"]))
        if candidates != result["candidates"]:
            raise LongInterestError(
                f"{cell.name} was ranked among other candidates than {name} on {cell.table}, {cell.run}. "
                f"Use full ranking, or leave {cell.name} out."
            )
