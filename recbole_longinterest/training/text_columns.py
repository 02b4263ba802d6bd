"""Choose the columns of the ``.item`` file for the items' texts and their wording, by the recall of new items."""

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
from recbole_longinterest.text.numbers import number_in, quantile_limits
from recbole_longinterest.training.adapting.held_out import Queries, gain, queries_of, split_items
from recbole_longinterest.training.text_wordings import Wording, with_templates, wording_of

SHARE = 0.1  # share of the items in each of the two held-out sets
FEWEST = 10  # minimum number of items in each
NUMBERS = 0.9  # minimum share of numbers among the values of a column whose numbers may become words


@dataclass(frozen=True)
class Tried:
    """Recall with the texts of a wording.

    Attributes:
        wording: how the texts are made.
        choosing: recall@10 on the held-out items that choose.
        reporting: recall@10 on the held-out items that are used only to report.
    """

    wording: Wording
    choosing: float
    reporting: float


@dataclass(frozen=True)
class ChosenColumns:
    """Outcome of :func:`choose_columns`.

    Attributes:
        best: the chosen texts.
        settings: the settings that make them.
        tried: all tried texts, in the order of the search.
        own: the texts of the config; None if it has no text columns or the same wording.
        interval: 95 % interval of the recall of ``best`` minus that of ``own``, on the items that report.
    """

    best: Tried
    settings: dict[str, object]
    tried: list[Tried] = field(default_factory=list)
    own: Tried | None = None
    interval: tuple[float, float] = (0.0, 0.0)


def choose_columns(config: Config, columns: Sequence[str] = ()) -> ChosenColumns:
    """Choose columns by forward selection: add the best column as long as the recall of held-out items grows.

    A column of numbers is tried as it is and in words, whose limits are quantiles of the training part's items. Then
    two templates of the chosen columns are compared with the values alone. A template is chosen only if it is clearly
    better: the best of three similar wordings may be better by chance.

    Two tenths of the items are held out of the training part: one tenth chooses, the other only reports. The held-out
    items are ranked by their whitened text vectors and the mean vector of the user's ten items before, as in
    `recbole-li adapt`. Events of the validation and test parts are not used.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`, for LongInterest. Its ``text_numbers``
            are used for the columns that have a rule there.
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
    left = search.candidates(list(columns) or names)
    best: Tried | None = None
    while left:
        found = [search.measure(best.wording + each if best else each) for each in left]
        leader = max(found, key=lambda tried: tried.choosing)
        if best is not None and leader.choosing <= best.choosing:
            break
        best = leader
        left = [each for each in left if each.columns[0] != leader.wording.columns[-1]]
    assert best is not None  # there is a column
    better = [each for each in map(search.measure, with_templates(best.wording)) if search.is_clear(best, each)]
    best = max(better, key=lambda tried: tried.choosing, default=best)
    wording, settings = wording_of(config), best.wording.settings(search.numbers)
    settings = {key: value for key, value in settings.items() if value or (config[key] and key != "text_fields")}
    if wording is None or wording == best.wording:
        return ChosenColumns(best, settings, search.tried)
    own = search.measure(wording)
    _, low, high = gain(search.report, search.reported[own.wording], search.reported[best.wording])
    return ChosenColumns(best, settings, search.tried, own, (low, high))


class _Search:
    """Encode the texts of the given wordings and measure their recall, once for each wording.

    Args:
        config: RecBole's config.
        file: the ``.item`` file.
        tokens: item tokens by internal id.
    """

    report: Queries
    choose: Queries
    trained: NDArray[np.integer]  # items of the training part that are not held out

    def __init__(self, config: Config, file: Path, tokens: list[str]) -> None:
        self.config, self.file, self.tokens = config, file, tokens
        self.encoder = make_encoder(config)
        self.numbers: dict[str, object] = dict(config["text_numbers"] or {})
        self.tried: list[Tried] = []
        self.chose: dict[Wording, NDArray[np.bool_]] = {}  # hits
        self.reported: dict[Wording, NDArray[np.bool_]] = {}

    def hold_out(self, events: CountedEvents, columns: Sequence[str]) -> None:
        """Draw the held-out items that choose and those that report."""
        rng = np.random.default_rng(self.config["seed"])
        has_text = np.array([bool(text) for text in self.texts(Wording(tuple(columns)))])
        bought = np.unique(events.items[events.known & events.wanted])
        groups = split_items(bought[(bought > 0) & has_text[bought]], SHARE, rng)
        if len(groups[0]) < FEWEST:
            raise LongInterestError(
                f"Choosing columns needs at least {FEWEST / SHARE:.0f} items with a text and training events; "
                f"{self.file} has {int(has_text[bought].sum())}. Set text_fields yourself."
            )
        held_out = np.zeros(len(has_text), bool)
        held_out[np.concatenate(groups)] = True
        self.trained = np.unique(events.without(held_out).items)
        self.choose, self.report = (queries_of(events, held_out, group, has_text, rng) for group in groups)
        if not len(self.choose.targets) or not len(self.report.targets):
            raise LongInterestError(
                "No user has one of the held-out items after another item, so columns cannot be compared. "
                "Set text_fields yourself."
            )

    def candidates(self, columns: Sequence[str]) -> list[Wording]:
        """Return a wording for each column, and one in words for each column of numbers."""
        for name in columns:
            if name not in self.numbers and (limits := self._limits(name)):
                self.numbers[name] = limits
        in_words = [Wording((name,), (name,)) for name in columns if name in self.numbers]
        return [*(Wording((name,)) for name in columns), *in_words]

    def _limits(self, column: str) -> list[float]:
        """Limits for the numbers of a column; empty if it has other values or a single number."""
        texts = self.texts(Wording((column,)))
        values = [texts[item] for item in self.trained.tolist() if texts[item]]
        numbers = np.array([number for value in values if (number := number_in(value)) is not None])
        return quantile_limits(numbers) if len(numbers) and len(numbers) >= NUMBERS * len(values) else []

    def texts(self, wording: Wording) -> list[str]:
        """Item texts by internal id."""
        by_token = read_texts(Overlay(self.config, wording.settings(self.numbers)), self.file)
        return ["", *(by_token.get(token, "") for token in self.tokens[1:])]

    def measure(self, wording: Wording) -> Tried:
        """Return the recall with these texts, measured at the first call."""
        known = [tried for tried in self.tried if tried.wording == wording]
        if known:
            return known[0]
        source = ItemTexts(
            self.texts(wording), self.config["text_dim"], self.encoder, bool(self.config["show_progress"])
        )
        vectors = source.matrix().vectors.numpy()
        self.chose[wording], self.reported[wording] = self.choose.hits(vectors), self.report.hits(vectors)
        self.tried.append(Tried(wording, float(self.chose[wording].mean()), float(self.reported[wording].mean())))
        return self.tried[-1]

    def is_clear(self, one: Tried, other: Tried) -> bool:
        """Whether another wording is clearly better on the items that choose: its 95 % interval is above 0."""
        return gain(self.choose, self.chose[one.wording], self.chose[other.wording])[1] > 0
