"""Interest vectors as a table, and cards that say what the vectors say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_longinterest.serving.explain.category_profile import category_profile_of, interest_over_time
from recbole_longinterest.serving.explain.profiles import card_of, profile_table, write_parquet
from tests.served import random_events, random_model


def test_the_table_has_every_users_interest_vector(tmp_path: Path) -> None:
    model = random_model()
    histories = {f"u{seed}": model.read(random_events(5 + seed, seed)) for seed in range(4)}
    histories["nobody"] = model.read(["zz"])
    write_parquet(profile_table(model, histories), tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table["user_id"]) == ["u0", "u1", "u2", "u3"] and list(table["events"]) == [5, 6, 7, 8]
    expected = model.interest([histories["u2"]])[0].numpy()
    np.testing.assert_allclose(np.stack(table["interest"])[2], expected, atol=1e-6)
    with pytest.raises(ValueError, match="could not be written"):
        write_parquet(table, tmp_path / "no folder" / "p.parquet")
    with pytest.raises(ValueError, match="No user has an event"):
        profile_table(model, {"nobody": histories["nobody"]})


def test_a_category_profile_is_the_mean_score_above_the_average_item() -> None:
    model = random_model()
    interest = interest_over_time(model, model.read(random_events(6)))
    profile = category_profile_of(model, interest)
    scores = model.scores_of(interest)
    comedy = [i for i, names in enumerate(model.served.items.categories) if names == ["Comedy"]]
    expected = scores[:, comedy].mean(dim=1) - scores[:, 1:].mean(dim=1)
    torch.testing.assert_close(profile.values[:, profile.names.index("Comedy")], expected, rtol=1e-4, atol=1e-5)


def test_a_card_has_categories_their_drift_and_the_nearest_users() -> None:
    model = random_model()
    events = random_events(40)
    histories = {"me": model.read(events), "twin": model.read(events), "other": model.read(random_events(9, 3))}
    card = card_of(model, histories, "me")
    assert [name for name, _ in card.nearest] == ["twin", "other"] and card.nearest[0][1] == pytest.approx(1, abs=1e-5)
    assert {name for name, _ in card.categories} == {"Comedy", "Drama", "War"}
    halves = category_profile_of(model, model.interest([histories["me"].keep(slice(0, 20))]))
    name, drift = card.categories[0]
    assert drift[1] == pytest.approx(float(halves.values[0, halves.names.index(name)]), abs=1e-5)
    assert [item.item for item in card.titles] == [item.item for item in model.recommend(events, 5).items]
    text = card.to_text()
    assert "user me, 40 events" in text and "nearest users: twin (1.00)" in text
    for user, message in (("you", "There is no user you"), ("zz", "no event with an item")):
        with pytest.raises(ValueError, match=message):
            card_of(model, {**histories, "zz": model.read(["zz"])}, user)


def test_a_history_too_long_to_follow_is_refused() -> None:
    with pytest.raises(ValueError, match="up to 5,000 events; this history has 5,001"):
        interest_over_time(random_model(), random_model().read(["i1"] * 5001))
