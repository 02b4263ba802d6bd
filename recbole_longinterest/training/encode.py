"""Fill the text cache of a data set ahead of its first run, from Python or as `recbole-li encode`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.item_texts import make_encoder, read_texts, why_no_text
from recbole_longinterest.text.cache import Encoder, Filled, fill_cache
from recbole_longinterest.text.encoder import TextEncoder


@dataclass(frozen=True)
class Encoded:
    """Outcome of :func:`encode_items`.

    Attributes:
        items: number of items with a text.
        filled: numbers of distinct and of cached texts, and the cache's folder.
        seconds: duration, including the loading of the encoder.
    """

    items: int
    filled: Filled
    seconds: float


def encode_items(config: Config, by: Callable[[TextEncoder], Encoder] = lambda encoder: encoder) -> Encoded:
    """Encode all item texts of a data set's ``.item`` file that are not cached yet.

    Vectors are saved as they are encoded. After an interruption, the next call continues where the first one stopped.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`, for LongInterest.
        by: takes the config's encoder and returns the encoder to use; by default the same one.

    Returns:
        The numbers of texts and of newly encoded texts.

    Raises:
        LongInterestError: if the data set has no text to encode, or the encoder or the cache cannot be used.
    """
    if config["text_vectors"]:
        raise LongInterestError(f"There is nothing to encode: text_vectors is {config['text_vectors']}. Unset it.")
    item_file = Path(config["data_path"]) / f"{config['dataset']}.item"
    absent = why_no_text(config, item_file)
    if absent:
        raise LongInterestError(
            f"There is nothing to encode: {absent} Set --text_fields=\"['title']\", or add the file."
        )
    started = monotonic()
    texts = list(read_texts(config, item_file).values())
    filled = fill_cache(texts, by(make_encoder(config)), show_progress=bool(config["show_progress"]))
    return Encoded(len(texts), filled, monotonic() - started)
