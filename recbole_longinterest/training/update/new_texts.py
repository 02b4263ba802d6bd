"""Encode the texts of new and changed items into the space of the training's text vectors."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.data.item_texts import make_encoder
from recbole_longinterest.data.item_vectors import ItemVectors
from recbole_longinterest.nn.state_keys import TEXT, item_key, tuned_in
from recbole_longinterest.nn.table_growth import TextRows
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.folder import EncoderError
from recbole_longinterest.text.whitening import Whitening
from recbole_longinterest.training.update.parent import Parent, UpdateError, texts_of
from recbole_longinterest.training.update.replay import ReplayDataset


def encode_new_texts(
    parent: Parent, data: ReplayDataset, tokens: list[str], items: Tensor, without_text: bool
) -> tuple[TextRows | None, int]:
    """Encode the texts that the parent's vectors do not cover.

    Args:
        parent: parent of the update.
        data: the merged data.
        tokens: item token of each id of the merged data.
        items: the parent's id of each item, -1 for new items, int64 [N].
        without_text: encode no texts; precomputed vectors are still read.

    Returns:
        The vectors (None without any), and how many of them belong to items that the parent knew.

    Raises:
        UpdateError: if the encoder cannot be used, or its vectors have another width than in the training.
    """
    present = parent.weights[item_key(TEXT, "present")].cpu()
    had = (items >= 0) & present[items.clamp(min=0)]  # items that have a text vector already
    if isinstance(data.text_source, ItemVectors):
        rows, vectors = data.text_source.rows()
        chosen = [place for place, row in enumerate(rows) if not had[row]]
        return (_whitened(parent, [rows[place] for place in chosen], vectors[chosen]) if chosen else None), 0
    if without_text:
        return None, 0
    before, now = parent.texts(), texts_of(data.config)
    known = items.tolist()
    rows = [
        row
        for row, token in enumerate(tokens)
        if row and now.get(token) and not (had[row] and now[token] == before.get(token))
    ]
    changed = sum(known[row] >= 0 for row in rows)
    if not rows:
        return None, changed
    encoder = make_encoder(data.config, tuned_in(parent.weights))
    try:
        vectors = encode_cached([now[tokens[row]] for row in rows], encoder, show_progress=False)
    except EncoderError as error:
        raise UpdateError(
            f"{len(rows)} new or changed texts need the text encoder of the training: {error} Or add the items without "
            "their texts: --without_text."
        ) from error
    encoder.unload()
    return _whitened(parent, rows, vectors), changed


def _whitened(parent: Parent, rows: list[int], vectors: NDArray[np.floating]) -> TextRows:
    keys = (item_key(TEXT, part) for part in ("mean", "whitening"))
    mean, projection = (parent.weights[key].cpu().numpy() for key in keys)
    if vectors.shape[1] != len(mean):
        raise UpdateError(
            f"The new items' vectors have {vectors.shape[1]} dimensions, but those of the training had {len(mean)}. "
            "Use the encoder or the vectors of the training."
        )
    return TextRows(torch.tensor(rows), torch.from_numpy(Whitening(mean, projection).transform(vectors)))
