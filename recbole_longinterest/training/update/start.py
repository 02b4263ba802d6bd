"""Initialize the model of an update: the parent's weights in tables of the merged data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.nn.memory import tables_of
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import ID, TEXT, TRAINED, item_key
from recbole_longinterest.nn.table_growth import grow_state, old_ids, train_only
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.training.update.new_texts import encode_new_texts
from recbole_longinterest.training.update.parent import Parent, UpdateError, tokens_of
from recbole_longinterest.training.update.replay import ReplayDataset


@dataclass(frozen=True)
class Start:
    """The start of an update's training.

    Attributes:
        state: the parent's state, extended to the catalogue of the merged data.
        trained: names of the parameters that the scope trains.
        new_items: mask of the items that no earlier training has seen, bool [N].
        changed_texts: number of items known to the parent whose text is new or has changed.
    """

    state: dict[str, Tensor]
    trained: list[str]
    new_items: Tensor
    changed_texts: int


def start_from(parent: Parent, model: LongInterest, data: ReplayDataset, settings: dict[str, Any]) -> Start:
    """Load the parent's weights into a new model, and freeze the parameters outside the scope.

    Args:
        parent: parent of the update.
        model: a model for the merged data; its weights are replaced.
        data: the merged data, after :meth:`ReplayDataset.build`.
        settings: settings of the update.

    Raises:
        UpdateError: if the new events change the range by which numbers are normalised, or from ``encode_new_texts``.
    """
    now = [source.spec for source in model.fusion.sources.values()]
    check_ranges(parent.sources, now)
    tokens = tokens_of(data, data.iid_field)
    items = old_ids(parent.tokens, tokens)
    texts, changed = None, 0
    if item_key(TEXT, "vectors") in parent.weights:
        texts, changed = encode_new_texts(parent, data, tokens, items, settings["without_text"])
    grown = grown_tokens(parent.sources, now)
    filling = model.state_dict().get(ID)
    old = {name: value.cpu() for name, value in parent.weights.items()}
    state = grow_state(old, items, texts, grown, None if filling is None else filling.cpu())
    has_texts = item_key(TEXT, "vectors") in state
    shown = data.training_count > 0 if has_texts else torch.arange(len(tokens)) > 0
    new_items = shown & ~state[TRAINED]
    state[TRAINED] = state[TRAINED] | shown
    model.load_state_dict(state)
    if model.memory is not None:  # from all events so far, not only the sampled training rows
        model.memory.load_state_dict(tables_of(model.with_lent(data.training_part.transitions(model.memory.size))))
    return Start(state, train_only(model, settings["scope"], new_items), new_items, changed)


def grown_tokens(before: Sequence[SourceSpec], now: Sequence[SourceSpec]) -> dict[str, Tensor]:
    """Map each token of the token sources to its old id, by source, for ``grow_state``."""
    old = {spec.name: spec.settings.get("tokens", []) for spec in before}
    return {spec.name: old_ids(old[spec.name], spec.settings["tokens"]) for spec in now if old[spec.name]}


def check_ranges(before: Sequence[SourceSpec], now: Sequence[SourceSpec]) -> None:
    """Check that numbers are normalised by the same ranges as in the parent's training.

    Raises:
        UpdateError: for the first source with another range.
    """
    old = {spec.name: spec.settings.get("range") for spec in before}
    for spec in now:
        then, after = old.get(spec.name), spec.settings.get("range")
        if then != after:
            what = "Ratings" if spec.name == "rating" else f"Values of {spec.name}"
            raise UpdateError(
                f"{what} were normalised by the range {then}, but with the new events it is {after}: the meaning of "
                "every old value would change. Leave those events out, or train from scratch."
            )
