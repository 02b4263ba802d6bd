"""Adapt a text encoder to a data set, from Python or as `recbole-li adapt`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import recbole.data.utils
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.utils import init_seed

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.data.item_texts import ItemTexts, make_encoder, why_no_text
from recbole_longinterest.data.lazy_matrix import Overlay
from recbole_longinterest.data.transitions import CountedEvents, counted_events
from recbole_longinterest.nn.transitions import count_transitions
from recbole_longinterest.text.adapting.fit import Catalogue, Fit, FitSettings
from recbole_longinterest.text.adapting.output import CARD, before_normalizing, write_encoder
from recbole_longinterest.text.adapting.positives import find_positives, same_texts
from recbole_longinterest.text.adapting.progress import ProgressFile
from recbole_longinterest.text.adapting.tunable import (
    LEARNING_RATES,
    Tunable,
    TunedHead,
    TunedNetwork,
    all_vectors,
)
from recbole_longinterest.text.adapting.upper_layers import UpperLayers
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.training.adapting.card import MARK, model_card
from recbole_longinterest.training.adapting.held_out import K, Queries, gain, queries_of, split_items
from recbole_longinterest.training.adapting.settings import Adapted, AdaptSettings
from recbole_longinterest.training.adapting.structure import read_structure

FOLLOWERS = 1000  # maximum number of followers counted for an item
COUNTED_BYTES = 4e8  # memory limit of all counts
FEWEST = 10  # minimum size of each set of held-out items


def adapt_encoder(
    config: Config, output: Path, settings: AdaptSettings | None = None, restart: bool = False
) -> Adapted:
    """Adapt the config's text encoder to the training part of its data set.

    The encoder is trained without the events of the validation and test parts and of held-out items. After an
    interruption, the next call continues from the last saved state, with the same result.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`, for LongInterest.
        output: folder to write the adapted encoder to, for use as ``text_encoder``. The state of an interrupted call
            is saved next to it.
        settings: settings of the adaptation; None for the defaults.
        restart: start from the beginning and discard the state of an interrupted call.

    Returns:
        The outcome, with the recall before and after.

    Raises:
        LongInterestError: if the data have no texts or too few items, the folder holds something else, or no epoch
            improves the recall.
    """
    absent = why_no_text(config, Path(config["data_path"]) / f"{config['dataset']}.item")
    if config["text_vectors"] or absent:
        why = absent or f"text_vectors is {config['text_vectors']}."
        raise LongInterestError(f"There is no text to adapt an encoder to: {why}")
    card = output / CARD
    if output.exists() and not (card.is_file() and MARK in card.read_text(encoding="utf-8", errors="replace")):
        raise LongInterestError(
            f"--output must be new or written by this command; {output} holds something else. Give another."
        )
    with lock_files(output, "adapting an encoder in", "name another --output"):
        return _adapt(config, output, settings or AdaptSettings(), restart)


def _adapt(config: Config, output: Path, settings: AdaptSettings, restart: bool) -> Adapted:
    init_seed(config["seed"], config["reproducibility"])
    train = recbole.data.utils.create_dataset(config).build()[0]
    source = train.text_source
    if not isinstance(source, ItemTexts):
        raise LongInterestError("There is no text to adapt an encoder to: text_features is off. Switch it on.")
    texts, events = source.texts, counted_events(train)
    has_text = np.array([bool(text) for text in texts])
    rng = np.random.default_rng(config["seed"])
    stop, report, held_out = _held_out(events, has_text, settings, rng)
    counts = _counts(events, held_out, has_text)
    tokens = [str(token) for token in train.field2id_token[train.iid_field]]
    structure = read_structure(config, tokens, settings.structure)
    if structure is not None:
        keep = sp.diags_array((~held_out & has_text).astype(float))
        structure = (keep @ structure @ keep).tocsr()
        structure.eliminate_zeros()
    positives = find_positives(counts, structure, popularity=settings.popularity)
    if not len(positives.anchors):
        raise LongInterestError("No two items occur together more often than by chance, so there is nothing to learn.")
    seen = np.unique(events.without(held_out).items)
    catalogue = Catalogue(texts, positives, same_texts(texts), seen[has_text[seen]])

    # Long texts are cut: each text is one row of a batch. Only torch trains.
    encoder = make_encoder(Overlay(config, {"text_chunks": 1, "text_backend": "torch"}))
    fit_settings = FitSettings(
        settings.epochs,
        settings.patience,
        settings.anchors,
        settings.part,
        settings.temperature,
        settings.learning_rate or LEARNING_RATES[settings.method],
        config["seed"],
    )
    identity = {
        "encoder": encoder.identity,
        "data": _digest(texts, events, positives.weights),
        **asdict(settings),
        **asdict(fit_settings),
    }
    file = ProgressFile(output.with_name(f"{output.name}.progress"), identity)
    if restart:
        file.remove()
    show = bool(config["show_progress"])
    raw = encode_cached([text for text in texts if text], encoder, show_progress=show)
    before = np.zeros((len(texts), raw.shape[1]), np.float32)
    before[has_text] = raw
    torch.manual_seed(config["seed"])
    tunable = _tunable(encoder, catalogue, settings)
    fit = Fit(tunable, catalogue, fit_settings, before, stop.recall, file, show)
    done = fit.run()
    if done.best == 0:
        raise LongInterestError(
            f"None of {len(done.values) - 1} epochs improves recall@{K} on held-out items: {encoder.name} has "
            f"{done.values[0]:.4f}, the best epoch {max(done.values[1:], default=0.0):.4f}. Nothing is written. "
            "Give another --learning-rate or --method with --restart, or keep the encoder."
        )
    after = catalogue.vectors(tunable) if fit.best_vectors is None else fit.best_vectors
    _, low, high = gain(report, report.hits(before), report.hits(after))
    figures = Adapted(
        output,
        len(done.values) - 1,
        done.best,
        report.recall(before),
        report.recall(after),
        (low, high),
        "",
    )
    text = model_card(config, encoder, settings, figures, done.values, before, after, report, has_text)
    write_encoder(output, tunable, encoder, texts, after, text)
    file.remove()
    return replace(figures, card=text)


def _held_out(
    events: CountedEvents, has_text: NDArray[np.bool_], settings: AdaptSettings, rng: np.random.Generator
) -> tuple[Queries, Queries, NDArray[np.bool_]]:
    """Return the queries to stop by, the queries to report, and a mask of all held-out items, bool [N]."""
    bought = np.unique(events.items[events.known & events.wanted])
    candidates = bought[(bought > 0) & has_text[bought]]
    groups = split_items(candidates, settings.held_out, rng)
    if len(groups[0]) < FEWEST:
        raise LongInterestError(
            f"--held-out {settings.held_out:g} must give at least {FEWEST} items in each of two sets; it gives "
            f"{len(groups[0])} of {len(candidates)} items with a text and training events. Give a larger share."
        )
    held_out = np.zeros(len(has_text), bool)
    held_out[np.concatenate(groups)] = True
    stop, report = (queries_of(events, held_out, group, has_text, rng) for group in groups)
    if not len(stop.targets) or not len(report.targets):
        raise LongInterestError("No user has a held-out item after another item; give a larger --held-out.")
    return stop, report, held_out


def _counts(events: CountedEvents, held_out: NDArray[np.bool_], has_text: NDArray[np.bool_]) -> sp.csr_array:
    """Weighted counts of items that follow each other closely, without held-out items and empty texts, [N, N]."""
    number = len(has_text)
    left = events.without(held_out | ~has_text)
    size = max(1, min(number, FOLLOWERS, int(COUNTED_BYTES // (8 * number))))
    table = count_transitions(left.items, left.first, left.known, left.wanted, number, size)
    row, place = np.nonzero(table.followers)
    return sp.csr_array((table.counts[row, place], (row, table.followers[row, place])), shape=(number, number))


def _tunable(encoder: TextEncoder, catalogue: Catalogue, settings: AdaptSettings) -> Tunable:
    loaded = encoder.load()
    if settings.layers is not None:
        return UpperLayers(loaded, catalogue.texts, settings.layers, settings.rank, "--layers", "--layers")
    if settings.method != "adapter":
        return TunedNetwork(loaded, catalogue.texts, settings.method, settings.rank)
    plain = before_normalizing(loaded)
    frozen = TunedNetwork(plain, catalogue.texts, "full")
    vectors = all_vectors(frozen, len(catalogue.texts), catalogue.order)
    return TunedHead(vectors, encoder.device, normalizes=len(plain.steps) < len(loaded.steps))


def _digest(texts: Sequence[str], events: CountedEvents, weights: sp.csr_array) -> str:
    """Hash of the data used in training."""
    digest = sha256("\0".join(texts).encode("utf-8", "surrogatepass"))
    for values in (events.items, events.first, events.known, events.wanted, weights.indices, weights.data):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
