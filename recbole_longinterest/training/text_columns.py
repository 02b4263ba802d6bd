"""Choose the columns of the ``.item`` file that make an item's text, by how well new items are found with them."""

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

SHARE = 0.1  # of the items that choose, and of those that report
FEWEST = 10  # items of each


@dataclass(frozen=True)
class Tried:
    """Columns that were tried.

    Attributes:
        columns: in their order in a text.
        choosing: recall@10 among the held-out items that choose.
        reporting: among those that nothing is chosen by.
    """

    columns: tuple[str, ...]
    choosing: float
    reporting: float


@dataclass(frozen=True)
class ChosenColumns:
    """Outcome of :func:`choose_columns`.

    Attributes:
        tried: in the order of the search.
        best: the chosen ones.
        own: the columns that the config names; None if there are none, or they are the chosen ones.
        interval: 95 % interval of the chosen columns' recall minus the config's, by the items that report.
    """

    tried: list[Tried] = field(default_factory=list)
    best: Tried = Tried((), 0.0, 0.0)
    own: Tried | None = None
    interval: tuple[float, float] = (0.0, 0.0)


def choose_columns(config: Config, columns: Sequence[str] = ()) -> ChosenColumns:
    """Add one column after the other, as long as held-out items are found better.

    Two tenths of the items are held out of the training part: one chooses, the other only reports. An item is looked
    for by the mean of the whitened text vectors of the ten items before it, as in `recbole-li adapt`. Events of the
    validation and test parts are not read.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`, for LongInterest.
        columns: to choose from; none means all columns of the file.

    Raises:
        LongInterestError: for a column that the file does not have, and data with too few items.
    """
    init_seed(config["seed"], config["reproducibility"])
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    if not file.is_file():
        raise LongInterestError(f"There is no file {file}, whose columns could make texts. Add it.")
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
    """Encodes and measures choices of columns, each once.

    Args:
        config: RecBole's.
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
        """Draw the items that choose and those that report."""
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

    def texts(self, columns: Sequence[str]) -> list[str]:
        """Texts by internal id."""
        changed = Overlay(self.config, {"text_fields": list(columns), "text_template": None})
        by_token = read_texts(changed, self.file)
        return ["", *(by_token.get(token, "") for token in self.tokens[1:])]

    def try_columns(self, columns: Sequence[str]) -> Tried:
        """Measure columns, unless that was done before."""
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
