"""Item texts in the order of the internal item ids, and the matrix of their vectors."""

from collections.abc import Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.item_sources import whitened
from recbole_longinterest.nn.sources import ItemMatrix
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.text.reader import read_item_text
from recbole_longinterest.text.template import columns_of
from recbole_longinterest.text.updates import Updates


class ItemTexts:
    """Item texts. They are encoded and whitened once, at the first call of :meth:`matrix`.

    A copy is the same object: RecBole deep-copies models to count FLOPs, and no text should be encoded twice.

    Args:
        texts: text by internal item id, "" for an item without a text; the first one is the padding.
        text_dim: columns of the whitened matrix.
        encoder: encodes the texts.
        show_progress: show a progress bar while encoding.
    """

    def __init__(self, texts: Sequence[str], text_dim: int, encoder: TextEncoder, show_progress: bool = True) -> None:
        self.texts = list(texts)
        self.text_dim = text_dim
        self.encoder = encoder
        self.show_progress = show_progress
        self._matrix: ItemMatrix | None = None

    @classmethod
    def from_config(cls, config: Settings, texts: Sequence[str]) -> "ItemTexts":
        """Make the object with the encoder of the ``text_*`` options."""
        return cls(texts, config["text_dim"], make_encoder(config), bool(config["show_progress"]))

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return self.text_dim

    def to_cache(self) -> list[str]:
        """Content for a data set cache: the texts."""
        return self.texts

    def __deepcopy__(self, memo: dict[int, Any]) -> "ItemTexts":
        """Return the same object, which never changes, so that the matrix is made once."""
        return self

    def matrix(self) -> ItemMatrix:
        """Encode the distinct texts or read their vectors from the cache, whiten them and align them to item ids."""
        if self._matrix is None:
            rows = [i for i, text in enumerate(self.texts) if text]
            encoded = encode_cached([self.texts[i] for i in rows], self.encoder, show_progress=self.show_progress)
            self.encoder.unload()  # free its memory for the training
            self._matrix = whitened(len(self.texts), rows, encoded, self.text_dim)
        return self._matrix


def make_encoder(config: Settings, updates: Updates | None = None) -> TextEncoder:
    """Create the encoder from the ``text_*`` options, with the updates of a model that tuned it."""
    return TextEncoder(
        config["text_encoder"],
        pooling=config["text_pooling"],
        max_length=config["text_max_length"],
        prompt=config["text_prompt"],
        precision=config["text_precision"],
        chunks=config["text_chunks"],
        batch_size=config["text_batch_size"],
        device=config["device"],
        named=getattr(config, "__dict__", {}).get("encoder_is_named", True),  # False in a config from a file
        updates=updates,
        backend=config["text_backend"],
    )


def why_no_text(config: Settings, item_file: Path) -> str | None:
    """Return the reason why the data have no item texts, as a sentence; None if they have texts."""
    if config["text_vectors"]:
        return None
    if not config["text_fields"] and not config["text_template"]:
        return "text_fields names no column of the .item file."
    if not item_file.is_file():
        return f"there is no item file {item_file}."
    return None


def read_texts(config: Settings, item_file: Path) -> dict[str, str]:
    """Read the texts of all items in the ``.item`` file, made by ``text_fields`` or ``text_template``.

    Numbers become words by ``text_numbers``.

    Returns:
        Text by item token.

    Raises:
        ValueError: if a column is missing, or the template or a rule for numbers cannot be read.
    """
    numbers = config["text_numbers"]
    columns, join = columns_of(config["text_fields"], config["text_template"], numbers)
    if numbers and item_file.is_file():
        names = [name for name, _ in read_header(str(item_file), config["field_separator"], config["encoding"])]
        missing = [column for column in numbers if column not in names]
        if missing:
            raise LongInterestError(
                f"{item_file} has no column {', '.join(missing)}, named in text_numbers; its columns are: "
                f"{', '.join(names)}. Name some of them."
            )
    return read_item_text(
        item_file,
        config["ITEM_ID_FIELD"],
        columns,
        field_separator=config["field_separator"],
        seq_separator=config["seq_separator"],
        encoding=config["encoding"] or "utf-8",
        join=join,
    )


def load_item_texts(config: Settings, item_file: Path, tokens: Sequence[str]) -> list[str]:
    """Read the texts of a catalogue, in the order of its internal ids.

    Args:
        config: RecBole's config, for ``text_*``, ``ITEM_ID_FIELD``, separators and encoding.
        item_file: the ``.item`` file, read by the plugin's own reader.
        tokens: raw item tokens by internal id; ``tokens[0]`` is the padding.

    Returns:
        Texts by internal id, "" for an item without a row or with empty fields. The number of such items is logged.

    Raises:
        ValueError: if a column is missing, or no item has a text.
    """
    by_token = read_texts(config, item_file)
    texts = ["", *(by_token.get(str(token), "") for token in tokens[1:])]
    missing = texts[1:].count("")
    if missing == len(texts) - 1:
        raise LongInterestError(
            f"Not one of the {missing} items has a text in {item_file} (text_fields: {config['text_fields']}, "
            f"text_template: {config['text_template']}). Check that its {config['ITEM_ID_FIELD']} column has the "
            "tokens of the .inter file, or set text_features: off."
        )
    if missing:
        getLogger().info(f"{missing} of {len(texts) - 1} items have no text; they share a learned vector.")
    return texts
