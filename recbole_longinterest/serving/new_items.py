"""Add new items to a served model by their texts, without training.

The network scores an item by its ID embedding and its projected text, and an untrained item only by its text, plus the
model's lift. So nothing is trained here, and user states do not change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recbole_longinterest.common.atomic_files import item_rows
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.tokens import token_of
from recbole_longinterest.nn.memory import lend_to_new_items
from recbole_longinterest.nn.state_keys import LOG_SCALE, TEXT, TRAINED, item_key
from recbole_longinterest.nn.table_growth import TextRows, grow_state, old_ids
from recbole_longinterest.serving.lift import LIFT, check_lift, found_lift, used_lift
from recbole_longinterest.serving.model_folder import Items, Served
from recbole_longinterest.serving.text_vectors import encoder_of, whitened_vectors
from recbole_longinterest.text.reader import text_of, values_of
from recbole_longinterest.text.template import columns_of

if TYPE_CHECKING:
    import pandas as pd  # at run time imported only to read a file

HALF_ROUNDING = 0.1  # maximum difference of whitened vectors (unit variance) between machines in half precision


@dataclass(frozen=True)
class Added:
    """Result of :func:`with_items`.

    Attributes:
        served: the model with the items.
        new: tokens of the new items.
        changed: tokens of known items whose text changed.
    """

    served: Served
    new: list[str]
    changed: list[str]


def with_items(
    served: Served,
    frame: "pd.DataFrame",
    vectors: ArrayLike | None = None,
    boost: float = 1.0,
    text_encoder: str | None = None,
    lift: float | None = None,
) -> Added:
    """Add items to a model; the scores of trained items stay the same.

    Args:
        served: the model.
        frame: one row per item: its token in the training's item column (``item_id``), and the columns of its text
            (titles, categories, ...). A sequence may be a list of texts. The text of a known item is replaced.
        vectors: precomputed vectors of the items by the training's encoder, [n, encoder_dim].
        boost: factor of the text vectors of untrained items, above 0. Trained items score higher because of their ID
            embeddings; a factor above 1 raises new items, without changing their order among themselves.
        text_encoder: the training's encoder: a folder or a name on the hub. Required if it was never named on this
            machine, because encoder names in files are not trusted.
        lift: number added to the scores of all items without training events, from 0 to 100; None for the model's
            present one, at first the one that the export found, or 0 if it found none. See
            :mod:`recbole_longinterest.serving.lift`.

    Returns:
        The model, and the new and changed items.

    Raises:
        LongInterestError: for a model without texts, a missing column, a repeated item, an item without text, an
            encoder that cannot be loaded, a boost that is not above 0 or has no effect, or a wrong lift.
    """
    _check_boost(served, boost)
    if lift is None:
        lift = used_lift(served.about) if LIFT in served.about else found_lift(served.about)
    lift = check_lift(lift)
    _check_reads_texts(served)
    frame = _without_na(frame)
    tokens, rows = _tokens(served, frame), _rows(frame)
    if vectors is None:
        vectors = _vectors(served, tokens, rows, text_encoder)
    whitened = torch.from_numpy(whitened_vectors(served, vectors, len(tokens)))

    old = list(served.items.tokens)
    place = {token: number for number, token in enumerate(old)}
    untrained = torch.tensor([token not in place or not served.weights[TRAINED][place[token]] for token in tokens])
    whitened[untrained] *= boost
    if not whitened.isfinite().all():
        raise LongInterestError(f"boost {boost} makes the new items' vectors infinite. Give a smaller one.")
    new = [token for token in tokens if token not in place]
    all_tokens = [*old, *new]
    place.update({token: number for number, token in enumerate(new, start=len(old))})
    ids = torch.tensor([place[token] for token in tokens], dtype=torch.int64)
    before = served.weights[item_key(TEXT, "vectors")]
    exact = (served.about.get("text") or {}).get("text_precision") in (None, "fp32")
    rounding = 1e-4 if exact else HALF_ROUNDING
    changed = []
    for place_given, number in enumerate(ids.tolist()):
        if number >= len(old):
            continue
        kept = before[number]  # exact to half a step in an int8 export
        half = 0.51 * float(kept.abs().max()) / 127 if served.precision == "int8" else 0.0
        if torch.allclose(kept, whitened[place_given], atol=rounding + half):
            whitened[place_given] = kept
        elif not (untrained[place_given] and _same_text(kept, whitened[place_given] / boost, rounding, half)):
            changed.append(tokens[place_given])
    weights = grow_state(served.weights, old_ids(old, all_tokens), TextRows(ids, whitened))
    lend_to_new_items(weights)
    recent = None if served.items.recent is None else [*served.items.recent, *[0] * len(new)]
    titles, categories = [*served.items.titles, *[""] * len(new)], [*served.items.categories, *([] for _ in new)]
    items = Items(all_tokens, titles, categories, recent)
    for row, number in zip(rows, ids.tolist(), strict=True):
        title, names = _shown(served, row)
        items.titles[number] = title or items.titles[number]
        items.categories[number] = names or items.categories[number]
    about = {**served.about, LIFT: lift}
    grown = replace(served, weights=weights, items=items, about=about, known_fingerprint="", folder=None, manifest=None)
    return Added(grown, new, changed)


def vectors_of(served: Served, frame: "pd.DataFrame", text_encoder: str | None = None) -> NDArray[np.float32]:
    """Encode the items with the training's encoder, for :func:`with_items`, [n, encoder_dim].

    Args:
        served: see :func:`with_items`.
        frame: see :func:`with_items`.
        text_encoder: see :func:`with_items`.

    Raises:
        LongInterestError: as :func:`with_items`.
    """
    _check_reads_texts(served)
    frame = _without_na(frame)
    return _vectors(served, _tokens(served, frame), _rows(frame), text_encoder)


def _same_text(kept: torch.Tensor, vector: torch.Tensor, rounding: float, half: float) -> bool:
    """Whether two vectors differ only by a factor, that is, by the boost of the same text.

    Args:
        kept: vector of the model.
        vector: vector of the given text, without a boost.
        rounding: maximum difference between two encodings of a text.
        half: half a step of int8 in ``kept``.
    """
    if not float(kept.norm()):
        return False
    factor = float(vector.norm() / kept.norm())
    return torch.allclose(kept * factor, vector, atol=rounding + half * factor)


def read_items(path: str | Path, served: Served) -> "pd.DataFrame":
    """Read items from a ``.csv`` file with a header, or from RecBole's ``.item``; all cells are text.

    Args:
        path: the file; an ``.item`` file must have the training's separator and encoding.
        served: the model.

    Raises:
        LongInterestError: for a file that is missing, broken, of another format, or without the item column.
    """
    import pandas as pd  # late: not needed for serving without tables

    path, item_field, text = Path(path), served.fields["item"], served.about.get("text", {})
    if path.suffix not in (".csv", ".item"):
        raise LongInterestError(f"An item file must end in .csv or .item; got {path}.")
    if not path.is_file():
        raise LongInterestError(f"The item file {path} does not exist.")
    if path.suffix == ".item":  # not with pandas, because titles may contain quotes
        form = text.get("field_separator") or "\t", text.get("encoding") or "utf-8"
        lines = [cells for _, cells in item_rows(path, *form)]
        names = [cell.partition(":")[0] for cell in lines[0]] if lines else []
        wrong = next((number for number, cells in enumerate(lines, 1) if len(cells) != len(names)), None)
        if wrong is not None:
            raise LongInterestError(
                f"{path}, row {wrong}: {len(lines[wrong - 1])} columns where the header has {len(names)}. Correct it."
            )
        table = pd.DataFrame(lines[1:], columns=names)
    else:
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise LongInterestError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise LongInterestError(f"{path} has rows with more values than the header has columns. Name every column.")
    if item_field not in table:
        raise LongInterestError(
            f"{path} has no column {item_field}; its columns are {', '.join(map(str, table)) or 'none'}."
        )
    return table


def _check_reads_texts(served: Served) -> None:
    if item_key(TEXT, "vectors") not in served.weights:
        raise LongInterestError(
            "This model reads no texts, so it cannot score an item that it was not trained on. Train with "
            "text_features, or add the item with its events: recbole-li update."
        )


def _without_na(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame.astype(object).where(frame.notna(), None)  # pandas' NA has no truth value


def _rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    return [dict(zip(map(str, frame.columns), values, strict=True)) for values in frame.itertuples(index=False)]


def _vectors(
    served: Served, tokens: Sequence[str], rows: Sequence[dict[str, Any]], text_encoder: str | None
) -> NDArray[np.float32]:
    from recbole_longinterest.text.cache import encode_cached  # late: most serving processes do not encode texts

    texts = [_text(served, row) for row in rows]
    _check_texts(tokens, texts)
    encoder = encoder_of(served, text_encoder)
    vectors = encode_cached(texts, encoder, show_progress=False)
    encoder.unload()
    return vectors


def _check_boost(served: Served, boost: float) -> None:
    if not 0 < boost < np.inf:
        raise LongInterestError(f"boost must be above 0 (1 for no boost); got {boost}.")
    if boost != 1 and LOG_SCALE in served.weights:
        raise LongInterestError(
            "boost has no effect in a model with cosine logits, which ignore vector length. Leave it out."
        )


def _tokens(served: Served, frame: "pd.DataFrame") -> list[str]:
    name = served.fields["item"]
    if name not in frame:
        raise LongInterestError(
            f"The table of items must have a column {name}; it has {', '.join(map(str, frame.columns))}."
        )
    if frame[name].isna().any() or (frame[name].astype(str) == "").any():
        raise LongInterestError(f"The table of items has rows without {name}. Fill or remove them.")
    known = set(served.items.tokens)
    tokens = [token_of(token, known) for token in frame[name]]
    if not tokens:
        raise LongInterestError("The table of items is empty.")
    if len(set(tokens)) < len(tokens):
        twice = next(token for token in tokens if tokens.count(token) > 1)
        raise LongInterestError(f"The item {twice} is in the table more than once. Keep one row of it.")
    return tokens


def _text(served: Served, row: dict[str, Any]) -> str:
    """Build an item's text in the same way as the training."""
    about = served.about.get("text") or {}
    fields, join = columns_of(*(about.get(name) for name in ("text_fields", "text_template", "text_numbers")))
    if not fields:
        raise LongInterestError("This model was trained with precomputed text vectors (text_vectors). Give vectors.")
    missing = [field for field in fields if field not in row]
    if missing:
        raise LongInterestError(
            f"The table of items has no column {', '.join(missing)}; texts are made of {', '.join(fields)}. Add it, "
            "with empty cells for missing texts."
        )
    kinds, separator = about.get("kinds") or {}, about.get("seq_separator") or " "
    separators = [separator if str(kinds.get(field, "")).endswith("_seq") else "" for field in fields]
    values = [_joined(row[field], separator) for field in fields]
    return text_of(values, separators, join)


def _joined(value: object, separator: str) -> str:
    if isinstance(value, (list, tuple, np.ndarray)):
        return separator.join(map(str, value))
    if value is None or value != value:  # NaN is not itself
        return ""
    if isinstance(value, float) and value.is_integer():  # pandas turns whole numbers into floats if some are missing
        return str(int(value))
    return str(value)


def _check_texts(tokens: Sequence[str], texts: Sequence[str]) -> None:
    empty = [token for token, text in zip(tokens, texts, strict=True) if not text]
    if empty:
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        raise LongInterestError(
            f"{len(empty)} items have no text, so they cannot be scored: {', '.join(empty[:5])}{more}. "
            "Leave them out until they have one, or events."
        )


def _shown(served: Served, row: dict[str, Any]) -> tuple[str, list[str]]:
    """Return title and categories of an item, from the same columns as the export."""
    shown, about = served.about.get("shown") or {}, served.about.get("text") or {}
    kinds, separator = about.get("kinds") or {}, about.get("seq_separator") or " "

    def cell(name: str | None) -> str:
        by = separator if str(kinds.get(name, "")).endswith("_seq") else ""
        return text_of([_joined(row.get(name), separator)], [by], "".join) if name else ""

    title, category = shown.get("title"), shown.get("category")
    if category is None:
        return cell(title), []
    value, kind = row.get(category), kinds.get(category, "token_seq")
    if isinstance(value, (list, tuple, np.ndarray)):
        return cell(title), [part for part in (_joined(part, " ").strip() for part in value) if part]
    return cell(title), values_of(_joined(value, separator), kind, separator)
