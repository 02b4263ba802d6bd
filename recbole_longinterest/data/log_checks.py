"""Check the columns and parts of a sequential data set."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recbole.evaluator.register import metric_information
from recbole.utils import FeatureType, ModelType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from recbole.data.dataset import Dataset

LEARN_LABELS = (ModelType.CONTEXT, ModelType.DECISIONTREE)


def check_ids(events: "pd.DataFrame", kinds: Mapping[str, FeatureType], user: str, item: str, file: str) -> None:
    """Check that users and items are columns of tokens, and that there are events.

    Args:
        events: table of the events.
        kinds: type of each column.
        user: column of the users.
        item: column of the items.
        file: name of the events' file, for the message.

    Raises:
        ValueError: if a column is missing or has another type, or there are no events.
    """
    for field, key in ((user, "USER_ID_FIELD"), (item, "ITEM_ID_FIELD")):
        if field not in events:
            raise LongInterestError(
                f"{file} has no column {field}, or load_col leaves it out. The columns read are "
                f"{', '.join(events.columns)}. Set {key} to the right column and list it in load_col."
            )
        if kinds[field] != FeatureType.TOKEN:
            raise LongInterestError(f"{field} of {file} holds {kinds[field].value}s. Write it as {field}:token.")
    if len(events) == 0:
        raise LongInterestError(f"{file} holds no interaction, only a header.")


def check_times(events: "pd.DataFrame", kinds: Mapping[str, FeatureType], time: str, name: str) -> None:
    """Check that there is a column of times, and that it is numeric.

    Raises:
        ValueError: if it is not.
    """
    if time not in events:
        raise LongInterestError(
            f"{name}.inter has no column {time} to order the histories by. Set TIME_FIELD to the right column and "
            "list it in load_col."
        )
    if kinds[time] != FeatureType.FLOAT:
        raise LongInterestError(
            f"{time} of {name} holds {kinds[time].value}s, but histories are ordered by numbers. Write it as "
            f"{time}:float."
        )


def check_order(config: Settings, exact: bool, tie_seed: int | None) -> None:
    """Check that the events are in exact order if a setting requires it.

    Args:
        config: RecBole's config.
        exact: whether the order is by full-precision time.
        tie_seed: seed of the order of ties, None for the order of the file.

    Raises:
        LongInterestError: if ``tie_order: random`` or ``split_by_time`` is set without exact order, or with benchmark
            files.
    """
    wanted = ["tie_order: random"] * (tie_seed is not None) + ["split_by_time"] * (config["split_by_time"] is not None)
    if wanted and config["benchmark_filename"]:
        raise LongInterestError(
            f"{wanted[0]} needs the whole log, but the files of benchmark_filename are already split. Unset one."
        )
    if wanted and not exact:
        raise LongInterestError(
            f"{wanted[0]} needs exact_order: True, because RecBole's float32 times create further ties. Set it."
        )


def check_histories(events: "pd.DataFrame", field: str) -> None:
    """Check that benchmark files have a column of item histories.

    Raises:
        ValueError: if they do not.
    """
    if field not in events:
        raise LongInterestError(
            f"Benchmark files of a sequential model need histories, but {field} is not among the columns read: "
            f"{', '.join(events.columns)}. List it in load_col, or leave benchmark_filename out."
        )


def check_parts(parts: Sequence[Any], name: str) -> None:
    """Check that there are three parts: training, validation and test. Each may be empty.

    Raises:
        ValueError: if there are not.
    """
    if len(parts) != 3:
        raise LongInterestError(
            f"{name} needs three parts, to train, validate and test on; eval_args or benchmark_filename give "
            f"{len(parts)}. A share may be 0."
        )


def check_labels(dataset: "Dataset") -> None:
    """Check that there are labels if a metric or the model needs them.

    Raises:
        LongInterestError: if labels are missing; says what needs them.
    """
    config = dataset.config
    if dataset.inter_feat is None or dataset.label_field in dataset.inter_feat:
        return
    needs = [] if config["MODEL_TYPE"] not in LEARN_LABELS or _samples(config) else [config["model"]]
    if "labeled" in config["eval_args"]["mode"].values():  # other modes label their sampled candidates
        needs += [name for name in config["metrics"] if "data.label" in metric_information.get(name.lower(), ())]
    if needs:
        raise LongInterestError(
            f"{' and '.join(needs)} need{'s' * (len(needs) == 1)} labels, but {dataset.dataset_name} has none. Set "
            f"threshold, as {{{config['RATING_FIELD'] or 'rating'}: 4}}, or load a column {dataset.label_field} of 0 "
            "and 1 (LABEL_FIELD)."
        )


def _samples(config: Settings) -> bool:
    """Whether a model trains with negative sampling, which gives the events label 1."""
    return str((config["train_neg_sample_args"] or {}).get("distribution", "none")).lower() != "none"
