"""The data of a comparison: every model must get the same catalogue, log and split."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.data.dataset import Dataset

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.nn.sources import ItemMatrix, MatrixSource

if TYPE_CHECKING:
    import pandas as pd

CHANGES = ("random text", "shuffled rating")
CHANGE_SEED = 2020


class DataMismatch(LongInterestError):
    """A model has other data than the models before it."""


@dataclass(frozen=True)
class Fingerprint:
    """Properties of the data that must be equal for all models.

    Attributes:
        users: number of users in the log.
        items: number of items in the catalogue.
        interactions: number of events in the log.
        rows: number of training, validation and test rows.
        split: SHA-256 of the (user, item, time) of the validation and test rows.
    """

    users: int
    items: int
    interactions: int
    rows: tuple[int, int, int]
    split: str

    def check(self, other: "Fingerprint", dataset: str, model: str) -> None:
        """Check the data of another model.

        Raises:
            DataMismatch: if it differs; the message says how.
        """
        for name, own in asdict(self).items():
            got = getattr(other, name)
            if tuple(np.atleast_1d(got)) != tuple(np.atleast_1d(own)):
                raise DataMismatch(
                    f"{model} has other data than the models before it on {dataset}: {name} is {got} and was {own}. "
                    f"Check load_col, filters and exact_order in its settings, or leave {model} out."
                )


Parts = list[Dataset]
"""The training, validation and test part of a data set."""


def make_dataset(
    config: Settings, change: str = "", on_split: Callable[[Dataset, Parts], Parts] | None = None
) -> Dataset:
    """Load a data set whose items are exactly those of the log, whatever item features a model reads.

    Args:
        config: RecBole's config of a sequential model, or of a model that runs like one.
        change: "" or one of ``CHANGES``, the controls of ablations.
        on_split: called with the data set and its parts when RecBole splits it; returns the parts to train with.

    Raises:
        ValueError: if the data does not allow the change.
    """
    kind: Any = dataset_class(config)

    class SameCatalogue(kind):
        """A data set whose table of item features has a row for each item of the log, and no other rows."""

        def _load_user_or_item_feat(self, *args: object) -> "pd.DataFrame | None":
            feat = super()._load_user_or_item_feat(*args)
            if feat is None or args[-1] != "iid_field":
                return feat
            tokens = self.inter_feat[self.iid_field].unique()
            return feat.set_index(self.iid_field).reindex(list(tokens)).reset_index(names=self.iid_field)

        def build(self) -> Parts:
            parts: Parts = super().build()
            return parts if on_split is None else on_split(self, parts)

    SameCatalogue.__name__ = kind.__name__
    dataset = SameCatalogue(config)
    if change == "random text":
        if getattr(dataset, "text_source", None) is None:
            raise LongInterestError(f"{config['dataset']} has no texts to replace by random vectors.")
        dataset.text_source = RandomText(dataset.text_source)
    elif change == "shuffled rating":
        rating = config["RATING_FIELD"]
        if rating not in dataset.inter_feat:
            raise LongInterestError(f"{config['dataset']} has no {rating} to shuffle.")
        order = np.random.default_rng(CHANGE_SEED).permutation(len(dataset.inter_feat))
        dataset.inter_feat[rating] = dataset.inter_feat[rating].to_numpy()[order]
    return dataset


class RandomText:
    """Random vectors with the size and spread of the text vectors, for the same items."""

    def __init__(self, source: MatrixSource) -> None:
        self._source = source

    def __deepcopy__(self, memo: dict[int, Any]) -> "RandomText":
        return self

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return self._source.width

    def matrix(self) -> ItemMatrix:
        """The source's matrix with random vectors."""
        real = self._source.matrix()
        drawn = torch.randn(real.vectors.shape, generator=torch.Generator().manual_seed(CHANGE_SEED))
        vectors = drawn * real.vectors[real.present].std() * real.present.unsqueeze(1)
        return ItemMatrix(vectors, real.present, real.mean, real.whitening)


def fingerprint(dataset: Dataset, parts: Parts) -> Fingerprint:
    """Compute the fingerprint of a data set and its training, validation and test parts.

    Raises:
        ValueError: if RecBole read the split from files, or a part is empty.
    """
    if not all(isinstance(part.inter_feat, LogRows) for part in parts):
        raise LongInterestError("compare splits the log itself; unset benchmark_filename.")
    for part, name in zip(parts[1:], ("validation", "test"), strict=True):
        if not len(part):
            raise LongInterestError(f"The split has no {name} row; check eval_args.")
    digest = sha256()
    for part in parts[1:]:
        rows = part.inter_feat
        columns = (
            part.id2token(part.uid_field, rows[part.uid_field].numpy()),
            part.id2token(part.iid_field, rows[part.iid_field].numpy()),
            rows[part.time_field].numpy().astype(str),
        )
        digest.update("\n".join(sorted("\t".join(row) for row in zip(*columns, strict=True))).encode())
        digest.update(b"\0")
    return Fingerprint(
        users=dataset.user_num - 1,
        items=dataset.item_num - 1,
        interactions=len(parts[0].event_log[parts[0].item_seq_field]),
        rows=(len(parts[0]), len(parts[1]), len(parts[2])),
        split=digest.hexdigest(),
    )


def users_of(part: Dataset) -> int:
    """Number of users with rows in a part."""
    return int(part.inter_feat[part.uid_field].unique().numel())


def file_hashes(config: Settings) -> dict[str, str]:
    """SHA-256 of the files that a config reads: atomic files, and precomputed text vectors."""
    users = ("user",) if config["user_features"] else ()
    kinds = dict.fromkeys(("inter", "item", *users, *(config["load_col"] or ())))
    files = [Path(config["data_path"]) / f"{config['dataset']}.{kind}" for kind in kinds]
    if config["text_vectors"]:
        files += [Path(config["text_vectors"]), Path(config["text_vectors"]).with_suffix(".txt")]
    return {file.name: file_hash(file) for file in files if file.is_file()}


def feature_column(config: Settings) -> str | None:
    """Category column of a data set's .item file, for RecBole's models with item features; None if not found."""
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    if not file.is_file():
        return None
    with file.open(encoding=config["encoding"] or "utf-8") as stream:
        header = [name.split(":")[0] for name in stream.readline().rstrip("\n").split(config["field_separator"])]
    return next((name for name in ("class", "categories", "genre", "genres", "category") if name in header), None)
