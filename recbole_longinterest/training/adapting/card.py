"""The model card of an adapted encoder."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.printable import printable
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.common.version import __version__
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.text.models import MINILM, MINILM_ON_HUB
from recbole_longinterest.text.whitening import Whitening
from recbole_longinterest.training.adapting.held_out import RECENT, K, Queries
from recbole_longinterest.training.adapting.settings import Adapted, AdaptSettings

MARK = "recbole-longinterest-adapted"  # a folder whose card has this tag may be overwritten


def model_card(
    config: Settings,
    encoder: TextEncoder,
    settings: AdaptSettings,
    figures: Adapted,
    values: Sequence[float],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    report: Queries,
    has_text: NDArray[np.bool_],
) -> str:
    """Write the text of the card: Markdown with a metadata header for the Hugging Face hub.

    Args:
        config: config of the data set.
        encoder: the original encoder.
        settings: settings of the adaptation.
        figures: outcome of the adaptation; its ``card`` is not used.
        values: recall on the items that stop the training, before it and after each epoch.
        before: vectors of all items by the original encoder, [N, D].
        after: vectors of all items by the adapted encoder, [N, D].
        report: events on the held-out items that are used only to report.
        has_text: mask of the items with a text, bool [N].

    Returns:
        The text.
    """
    base = MINILM_ON_HUB if encoder.name == MINILM else printable(encoder.name)
    low, high = figures.interval
    width = min(config["text_dim"], before.shape[1], after.shape[1])
    white = [report.recall(_whitened(vectors, has_text, width)) for vectors in (before, after)]
    said = {**asdict(settings), "learning_rate": settings.learning_rate or "the method's own"}
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
base_model: {json.dumps(base)}
tags: [{MARK}]
---

# {base} adapted to {printable(str(config["dataset"]))}

Made by `recbole-li adapt` of recbole-longinterest {__version__}. Items that users choose one after another get similar
text vectors. The encoder was trained on the item texts and the training part of the events of
{printable(str(config["dataset"]))}, so its vectors may reveal which items were used together there. The licence of the
base model applies.

Use: `text_encoder: FOLDER` in recbole-longinterest, or `SentenceTransformer("FOLDER")`.

| recall@{K} on {len(report.among)} held-out items | {base} | adapted |
|---|---|---|
| vectors of the encoder | {figures.before:.4f} | {figures.after:.4f} |
| whitened to {width} dimensions, as LongInterest uses them | {white[0]:.4f} | {white[1]:.4f} |

Difference in the first row: {figures.after - figures.before:+.4f}, 95 % interval over items {low:+.4f} to {high:+.4f}.
For each of {len(report.targets)} events of the training part on such an item, the held-out items are ranked by the
cosine with the mean vector of up to {RECENT} items that the user had before. No event on a held-out item was used in
training. Another {len(report.among)} held-out items chose the epoch: {figures.best} of {figures.epochs}.

- Recall on the items that chose the epoch, before and after each epoch: {", ".join(f"{value:.4f}" for value in values)}
- Settings: `{json.dumps(said)}`, seed {config["seed"]}
- Original encoder: `{printable(encoder.identity)}`
"""


def _whitened(vectors: NDArray[np.float32], has_text: NDArray[np.bool_], width: int) -> NDArray[np.float32]:
    out = np.zeros((len(vectors), width), np.float32)
    out[has_text] = Whitening.fit(vectors[has_text], width).transform(vectors[has_text])
    return out
