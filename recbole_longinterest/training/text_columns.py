"""Choose the columns of the ``.item`` file for the items' texts, by the recall of new items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import recbole.data.utils
from numpy.typing import NDArray
from recbole.config import Config
from recbole.utils import init_seed

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.item_texts import ItemTexts, make_encoder, read_texts
from recbole_longinterest.data.lazy_matrix import Overlay
from recbole_longinterest.data.transitions import CountedEvents, counted_events
from recbole_longinterest.training.adapting.held_out import Queries, gain, queries_of, split_items

SHARE = 0.1  # share of the items in each of the two held-out sets
FEWEST = 10  # minimum number of items in each


@dataclass(frozen=True)
class Tried:
    """Recall with the texts of some columns.

    Attributes:
        columns: the columns, in their order in the text.
        choosing: recall@10 on the held-out items that choose the columns.
        reporting: recall@10 on the held-out items that are used only to report.
    """

    columns: tuple[str, ...]
    choosing: float
    reporting: float


@dataclass(frozen=True)
class ChosenColumns:
    """Outcome of :func:`choose_columns`.

    Attributes:
        tried: all tried columns, in the order of the search.
        best: the chosen columns.
        own: the config's ``text_fields``; None if it is unset or equal to the chosen columns.
        interval: 95 % interval of the recall of ``best`` minus that of ``own``, on the items that report.
    """

    tried: list[Tried] = field(default_factory=list)
    best: Tried = Tried((), 0.0, 0.0)
    own: Tried | None = None
    interval: tuple[float, float] = (0.0, 0.0)


def choose_columns(config: Config, columns: Sequence[str] = ()) -> ChosenColumns:
    """Choose columns by forward selection: add the best column as long as the recall of held-out items grows.

    Two tenths of the items are held out of the training part: one tenth chooses the columns, the other only reports.
    The held-out items are ranked by their whitened text vectors and the mean vector of the user's ten items before, as
    in `recbole-li adapt`. Events of the validation and test parts are not used.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`, for LongInterest.
        columns: columns to choose from; if empty, all columns of the file.

    Raises:
        LongInterestError: if the file lacks a column, or the data have too few items.
    """
    init_seed(config["seed"], config["reproducibility"])
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    if not file.is_file():
        raise LongInterestError(f"There is no file {file} with columns for texts. Add it.")
    header = read_header(str(file), config["field_separator"], config["encoding"])
    names = [name for name, _ in header if name != config["ITEM_ID_FIELD"]]
    unknown = [name for name in columns if name not in names]
    if unknown or not names:
        raise LongInterestError(
            f"--columns must name columns of {file}, which are {', '.join(names) or 'none'}; got "
            f"{', '.join(unknown) or 'none'}."
        )
    train = recbole.data.utils.create_dataset(config).build()[0]
    search = _Search(config, file, [str(token) for token in train.field2id_token[train.iid_field]])
    search.hold_out(counted_events(train), list(columns) or names)
    left, best = list(columns) or names, None
    while left:
        found = [search.try_columns([*(best.columns if best else ()), name]) for name in left]
        leader = max(found, key=lambda tried: tried.choosing)
        if best is not None and leader.choosing <= best.choosing:
            break
        best = leader
        left.remove(leader.columns[-1])
    assert best is not None  # there is a column
    fields = config["text_fields"]
    own = search.try_columns([fields] if isinstance(fields, str) else fields) if fields else None
    if own is None or own.columns == best.columns:
        return ChosenColumns(search.tried, best)
    _, low, high = gain(search.report, search.hits[own.columns], search.hits[best.columns])
    return ChosenColumns(search.tried, best, own, (low, high))


class _Search:
    """Encode the texts of some columns and measure their recall, once for each choice of columns.

    Args:
        config: RecBole's config.
        file: the ``.item`` file.
        tokens: item tokens by internal id.
    """

    report: Queries
    choose: Queries

    def __init__(self, config: Config, file: Path, tokens: list[str]) -> None:
        self.config, self.file, self.tokens = config, file, tokens
        self.encoder = make_encoder(config)
        self.tried: list[Tried] = []
        self.hits: dict[tuple[str, ...], NDArray[np.bool_]] = {}

    def hold_out(self, events: CountedEvents, columns: Sequence[str]) -> None:
        """Draw the held-out items that choose and those that report."""
        rng = np.random.default_rng(self.config["seed"])
        has_text = np.array([bool(text) for text in self.texts(columns)])
        bought = np.unique(events.items[events.known & events.wanted])
        groups = split_items(bought[(bought > 0) & has_text[bought]], SHARE, rng)
        if len(groups[0]) < FEWEST:
            raise LongInterestError(
                f"Choosing columns needs at least {FEWEST / SHARE:.0f} items with a text and training events; "
                f"{self.file} has {int(has_text[bought].sum())}. Set text_fields yourself."
            )
        held_out = np.zeros(len(has_text), bool)
        held_out[np.concatenate(groups)] = True
        self.choose, self.report = (queries_of(events, held_out, group, has_text, rng) for group in groups)
        if not len(self.choose.targets) or not len(self.report.targets):
            raise LongInterestError(
                "No user has one of the held-out items after another item, so columns cannot be compared. "
                "Set text_fields yourself."
            )

    def texts(self, columns: Sequence[str]) -> list[str]:
        """Item texts made of these columns, by internal id."""
        changed = Overlay(self.config, {"text_fields": list(columns), "text_template": None})
        by_token = read_texts(changed, self.file)
        return ["", *(by_token.get(token, "") for token in self.tokens[1:])]

    def try_columns(self, columns: Sequence[str]) -> Tried:
        """Return the recall with these columns, measured at the first call."""
        known = [tried for tried in self.tried if tried.columns == tuple(columns)]
        if known:
            return known[0]
        source = ItemTexts(
            self.texts(columns), self.config["text_dim"], self.encoder, bool(self.config["show_progress"])
        )
        vectors = source.matrix().vectors.numpy()
        self.hits[tuple(columns)] = self.report.hits(vectors)
        recall = float(self.hits[tuple(columns)].mean())
        self.tried.append(Tried(tuple(columns), self.choose.recall(vectors), recall))
        return self.tried[-1]
