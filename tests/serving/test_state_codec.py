"""Bytes of states that were made to look right, and are not."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.state import InterestState
from recbole_longinterest.serving.state_codec import StateContent, pack, unpack
from tests.served import random_events, random_model


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_content_that_was_changed_with_its_checksum_is_one_sentence() -> None:
    model = random_model()
    state = model.start()
    for event in random_events(9):
        state.update(event)
    like = (*state.encoder, state.interest)
    whole = unpack(state.to_bytes(), like, model.fingerprint, model.n_items)
    broken = [torch.full_like(part, torch.nan) for part in whole.parts]
    cases: list[tuple[StateContent, str]] = [
        (replace(whole, parts=[broken[0], *whole.parts[1:]]), "has numbers that are NaN or infinite"),
        (replace(whole, parts=[*whole.parts[:-1], broken[-1]]), "has numbers that are NaN or infinite"),
        (replace(whole, user={"age": nested(400)}), "was changed: it nests lists and objects more than 100 deep"),
        (replace(whole, seen={model.n_items + 1}), "has items that its model does not have"),
    ]
    for content, match in cases:
        with pytest.raises(LongInterestError, match=match):
            InterestState.from_bytes(model, pack(content, model.fingerprint))
    assert InterestState.from_bytes(model, pack(whole, model.fingerprint)).recommend(5) == state.recommend(5)
