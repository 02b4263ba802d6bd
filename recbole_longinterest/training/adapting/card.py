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
from recbole_longinterest.training.adapting.held_out import K, Queries
from recbole_longinterest.training.adapting.settings import Adapted, AdaptSettings

MARK = "recbole-longinterest-adapted"  # a folder with it may be replaced


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
    """Text of the card, in Markdown with a header for the Hugging Face hub.

    Args:
        config: of the data.
        encoder: that was adapted.
        settings: of the adaptation.
        figures: its outcome.
        values: recall on the items that stop the training, before it and after each epoch.
        before: vectors of all items before, [N, D].
        after: vectors of all items after, [N, D].
        report: events on the held-out items that nothing was chosen by.
        has_text: bool [N].
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

Made by `recbole-li adapt` of recbole-longinterest {__version__}. Texts of items that users take one after another have
near vectors. The adaptation has read the item texts and the training part of the events of
{printable(str(config["dataset"]))}; its vectors may say which items went together there. The licence is that of the
base model.

Use: `text_encoder: FOLDER` in recbole-longinterest, or `SentenceTransformer("FOLDER")`.

| recall@{K} among {len(report.among)} held-out items | {base} | adapted |
|---|---|---|
| vectors as they are | {figures.before:.4f} | {figures.after:.4f} |
| whitened to {width} columns, as LongInterest reads them | {white[0]:.4f} | {white[1]:.4f} |

Difference of the first line: {figures.after - figures.before:+.4f}, 95 % interval over items {low:+.4f} to {high:+.4f}.
Each of {len(report.targets)} events of the training part on such an item is looked for by the mean vector of up to 10
items that the user had before. No event on a held-out item was trained on, and none chose the epoch, which
{len(report.among)} other held-out items did: epoch {figures.best} of {figures.epochs}.

- Recall on the items that chose the epoch, before and after each: {", ".join(f"{value:.4f}" for value in values)}
- Settings: `{json.dumps(said)}`, seed {config["seed"]}
- Encoder before: `{printable(encoder.identity)}`
"""


def _whitened(vectors: NDArray[np.float32], has_text: NDArray[np.bool_], width: int) -> NDArray[np.float32]:
    out = np.zeros((len(vectors), width), np.float32)
    out[has_text] = Whitening.fit(vectors[has_text], width).transform(vectors[has_text])
    return out
