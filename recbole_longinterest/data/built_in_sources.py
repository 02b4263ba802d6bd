"""Built-in sources of item vectors: vector files, further text encoders, image files, knowledge graphs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.graph.source import make_graph, make_graph_texts
from recbole_longinterest.data.image_encoder import ImageEncoder, image_files
from recbole_longinterest.data.item_sources import register_item_source
from recbole_longinterest.data.item_texts import ItemTexts, load_item_texts, make_encoder
from recbole_longinterest.data.lazy_matrix import TEXT_KEYS, LazyMatrix, Overlay, checked_settings, text_settings
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.vectors import read_vectors


def make_vectors(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> LazyMatrix:
    """Make the source ``{kind: vectors, file: x.npy, width: 64}``: a file in a format of ``text_vectors``."""
    given = checked_settings(settings, ("file",), ("width",), config)

    def rows() -> tuple[list[int], NDArray[np.float32]]:
        found, vectors = read_vectors(Path(str(given["file"])).expanduser(), config["ITEM_ID_FIELD"])
        place: dict[str, int] = {}
        for row, token in enumerate(found):
            place.setdefault(token, row)
        ids = [i for i, token in enumerate(tokens) if i and token in place]
        return ids, vectors[[place[tokens[i]] for i in ids]]

    return LazyMatrix(settings["name"], len(tokens), given["width"], rows)


def make_texts(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> ItemTexts:
    """Make the source ``{kind: text, encoder: ..., fields: [...], width: 64}``: another encoder or other columns.

    Missing settings are taken from the ``text_*`` settings.
    """
    given = checked_settings(settings, (), ("width", *TEXT_KEYS), config)
    changed = Overlay(config, text_settings(given))
    item_file = Path(config["data_path"]) / f"{config['dataset']}.item"
    texts = load_item_texts(changed, item_file, tokens)
    return ItemTexts(texts, given["width"], make_encoder(changed), bool(config["show_progress"]))


def make_images(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> LazyMatrix:
    """Make the source ``{kind: image, folder: images, encoder: FOLDER, pooling: mean, width: 64}``."""
    given = checked_settings(settings, ("folder", "encoder"), ("width", "pooling"), config)

    def rows() -> tuple[list[int], NDArray[np.float32]]:
        files = image_files(Path(str(given["folder"])).expanduser())
        ids = [i for i, token in enumerate(tokens) if i and token in files]
        encoder = ImageEncoder(str(given["encoder"]), given.get("pooling", "mean"), config["device"])
        keys = [encoder.key_of(files[tokens[i]]) for i in ids]
        if not ids:
            return ids, np.zeros((0, 0), dtype=np.float32)
        return ids, encode_cached(keys, encoder, show_progress=bool(config["show_progress"]))

    return LazyMatrix(settings["name"], len(tokens), given["width"], rows)


register_item_source("vectors", make_vectors, named=True)
register_item_source("text", make_texts, named=True)
register_item_source("image", make_images, named=True)
register_item_source("graph", make_graph, named=True)
register_item_source("graph_text", make_graph_texts, named=True)
