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
        filled: how many texts the cache lacked, and its folder.
        seconds: time that it took, with loading of the encoder.
    """

    items: int
    filled: Filled
    seconds: float


def encode_items(config: Config, by: Callable[[TextEncoder], Encoder] = lambda encoder: encoder) -> Encoded:
    """Encode the texts of all items of a data set's ``.item`` file that the text cache does not hold yet.

    Vectors are written as they are made: an interrupted call keeps them, and the next one goes on from there.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`, for LongInterest.
        by: makes what encodes from the config's encoder; by default the encoder itself.

    Returns:
        How many texts there are, and how many were encoded.

    Raises:
        LongInterestError: if the data set has no text to encode, or the encoder or the cache cannot be used.
    """
    if config["text_vectors"]:
        raise LongInterestError(f"There is nothing to encode: text_vectors is {config['text_vectors']}. Unset it.")
    item_file = Path(config["data_path"]) / f"{config['dataset']}.item"
    absent = why_no_text(config, item_file)
    if absent:
        raise LongInterestError(f"There is nothing to encode: {absent} Give --text_fields=\"['title']\", or the file.")
    started = monotonic()
    texts = list(read_texts(config, item_file).values())
    filled = fill_cache(texts, by(make_encoder(config)), show_progress=bool(config["show_progress"]))
    return Encoded(len(texts), filled, monotonic() - started)
