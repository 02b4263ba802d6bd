"""Explanations name the events that matter: planted ones, and by deletion on real data."""

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest
import torch

from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.nn.memory import EVENTS
from recbole_longinterest.serving.explain import methods
from recbole_longinterest.serving.explain.methods import METHODS, explain_history, score_of, scores_without
from recbole_longinterest.serving.explain.page import courses, page_of, text_of
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.results import Recommendation
from tests.served import OPTIONS, WITH_MEMORY, ModelOptions, random_events, random_model, random_served


def fall(model: Recommender, removed: int, method: str, users: int = 40) -> float:
    """Mean fall of the first item's score when the events named first are removed."""
    falls = []
    for seed in range(users):
        history = model.read(random_events(30, seed))
        item = model.best(model.interest([history]), 1, [history.item_seq])[0][0][0]
        if method == "random":
            order = np.random.default_rng(seed).permutation(len(history))
        else:
            order = METHODS[method](model, history, item)[0].argsort(descending=True).numpy()
        keep = np.ones((1, len(history)), dtype=bool)
        keep[0, order[:removed]] = False
        falls.append(score_of(model, history, item) - float(scores_without(model, history, item, keep)[0]))
    return float(np.mean(falls))


@pytest.mark.parametrize("method", ["removal", "gradients"])
def test_removing_the_events_named_first_lowers_the_score_more_than_random_ones(method: str) -> None:
    if method == "gradients":
        pytest.importorskip("captum")
    model = random_model(spread=0.15)  # with larger weights the score is no smooth function of an event's parts
    for removed in (1, 3, 6):
        assert fall(model, removed, method) > 1.5 * max(0.0, fall(model, removed, "random"))


def test_removal_is_the_fall_of_the_score() -> None:
    model = random_model()
    events = random_events(8)
    history = model.read(events)
    found, _ = methods.removal(model, history, 5)
    for position in range(8):
        rest = model.read([event for i, event in enumerate(events) if i != position])
        assert float(found[position]) == pytest.approx(score_of(model, history, 5) - score_of(model, rest, 5), abs=1e-5)


def test_gradients_add_up_to_the_scores_change() -> None:
    """Completeness (Sundararajan et al. 2017): from events without any part to the events as they are."""
    pytest.importorskip("captum")
    model = random_model(spread=0.1)
    history = model.read(random_events(10))
    item = next(item for item in range(1, model.n_items) if item not in history.item_seq)
    by_event, by_source = methods.gradients(model, history, item)
    parts = {name: torch.zeros_like(part) for name, part in methods.event_parts(model, history).items()}
    nothing = model.network.interest_encoder(methods.fuse_parts(model, parts))[:, -1]
    base = float((nothing @ model.items[item]).sum())
    assert float(by_event.sum()) == pytest.approx(score_of(model, history, item) - base, abs=1e-3)
    assert sum(by_source.values()) == pytest.approx(float(by_event.sum()), abs=1e-4)
    assert set(by_source) == {"id", "rating", "behavior", "time"}


@pytest.mark.parametrize("attention", [True, False])
def test_shares_sum_to_one_and_attention_is_a_softmax(attention: bool) -> None:
    model = random_model(ModelOptions(**{**vars(OPTIONS), "attention": attention, "attention_heads": 2}))
    history = model.read(random_events(20))
    why = explain_history(model, history, 5)
    assert sum(abs(event.share) for event in why.events) == pytest.approx(1)
    assert sum(abs(share) for share in why.sources.values()) == pytest.approx(1)
    assert sum(event.attention for event in why.events) == pytest.approx(float(attention), abs=1e-5)
    assert why.leading(1)[0].share == max(event.share for event in why.events)


def test_events_say_how_often_the_item_followed_them() -> None:
    model = random_model(WITH_MEMORY)
    history = model.read(random_events(20))
    memory = model.network.memory
    assert memory is not None
    item = int(memory.followers[history.item_seq[-3], 0])
    last = history.item_seq[-EVENTS:].tolist()
    by_hand = [sum(memory.occurrences[row][memory.followers[row] == item].tolist()) for row in last]
    told = [event.followed for event in explain_history(model, history, item).events]
    assert told == [0] * (20 - EVENTS) + by_hand and told[-3] > 0
    found = model.recommend(random_events(20), 3, explain=True)
    why = found.items[0].why
    assert why is not None
    said = [f"then this item {event.followed:,} times" for event in why.leading(5) if event.followed]
    text, page = text_of("u", found), page_of(model, "u", history, found)
    assert said and all(each in text and each in page for each in said)


def test_attention_is_what_the_network_uses() -> None:
    model = random_model()
    history = model.read(random_events(20))
    weights, _ = methods.attention(model, history, 5)
    fused = methods.fuse_parts(model, methods.event_parts(model, history))
    states = model.network.interest_encoder.rnn(fused)
    layer = model.network.interest_encoder.attention
    assert layer is not None
    torch.testing.assert_close(layer(fused, states)[0, -1], weights @ states[0], rtol=1e-4, atol=1e-5)


def test_recommend_explains_if_asked() -> None:
    model = random_model()
    found = model.recommend(random_events(1), 2, explain=True)
    assert found.items[0].why is not None and found.items[0].why.events[0].share == 1
    assert model.recommend(random_events(1), 2).items[0].why is None


def test_other_methods_and_a_missing_captum_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    history = model.read(["i1"])
    with pytest.raises(ValueError, match="method must be one of removal, gradients, attention; got 'lime'"):
        explain_history(model, history, 5, "lime")
    monkeypatch.setitem(__import__("sys").modules, "captum", None)
    with pytest.raises(MissingPackage, match=r"needs the package captum.*recbole-longinterest\[explain\]"):
        explain_history(model, history, 5, "gradients")


def test_the_page_shows_titles_as_text_and_stands_alone() -> None:
    model = random_model()
    events = random_events(30)
    found = model.recommend(events, 3, explain=True)
    page = page_of(model, "<me>", model.read(events), found)
    assert "&lt;me&gt;" in page and "<me>" not in page and "Title <" not in page
    for item in found.items:
        assert f"Title &lt;{item.item[1:]}&gt;" in page
    assert page.count("<polyline") == 3 and "http" not in page  # Comedy, Drama, War
    values = [value for course in courses(model, model.read(events), found) for value in course.values]
    assert f">{max(values):+.2f}</text>" in page and f">{min(values):+.2f}</text>" in page  # the chart's scale
    model.served.items.categories = [[] for _ in model.served.items.categories]
    assert page_of(model, "me", model.read(events), found).count("<polyline") == 3  # the items
    nothing = page_of(model, "me", model.read(events), Recommendation([], 5))
    assert "There is nothing to show." in nothing and "<svg" not in nothing


def test_courses_follow_the_interest_and_name_what_raised_it() -> None:
    model = random_model()
    history = model.read(random_events(30))
    found = model.recommend(random_events(30), 3)
    for course in courses(model, history, found):
        assert len(course.values) == 30
        rises = np.diff(course.values, prepend=0.0)
        assert course.drivers[0] == (int(rises.argmax()), pytest.approx(rises.max(), abs=1e-5))


def test_what_speaks_against_an_item_is_said_and_events_have_date_and_behaviour() -> None:
    served = random_served()
    served.about["times"] = {"first": 1.5e9, "median": 1.5005e9, "last": 1.501e9}
    model = Recommender(served)
    events = [replace(event, time=1.5e9 + event.time) for event in random_events(30)]
    found = model.recommend(events, 3, explain=True)
    why = found.items[0].why
    assert why is not None and [event.behavior for event in why.events] == [event.behavior for event in events]
    first = datetime.fromtimestamp(events[0].time, timezone.utc).date().isoformat()
    assert why.events[0].date == first and why.events[0].time == events[0].time
    against = [name for name, share in why.sources.items() if share < 0]
    assert against and why.against(1)[0].share == min(event.share for event in why.events) < 0
    said, page = text_of("u", found), page_of(model, "u", model.read(events), found)
    line = next(line for line in said.splitlines() if "sources: " in line)
    assert all(name in line.partition("; against the item: ")[2] for name in against)
    kinds = {event.behavior for event in why.leading(5)} - {None}
    assert "(2017-07-" in said and kinds and all(f", {kind}, attention" in said for kind in kinds)
    assert "%, against the item)" in said
    rows = page.split("<tr>")
    for name in against:
        assert any(f"source {name}<" in row and "counts against the item" in row and "bar neg" in row for row in rows)
    assert page.count("counts against the item</td>") == page.count("bar neg") and ">2017-07-" in page
    assert f"30 events, {first} to {why.events[-1].date}." in page


def test_curves_that_coincide_are_drawn_so_that_each_is_seen() -> None:
    model = random_model()  # every item that is a drama is a war film, too
    events = random_events(30)
    page = page_of(model, "u", model.read(events), model.recommend(events, 1, explain=True))
    widths = {line.split('stroke="')[1][:7]: line.split('stroke-width="')[1] for line in page.split("<polyline")[1:]}
    assert sorted(float(width.partition('"')[0]) for width in widths.values()) == [1.5, 1.5, 4.5]
    assert "(its line coincides with War)" in page and "(its line coincides with Drama)" in page


def test_what_is_popular_has_nothing_to_explain() -> None:
    served = random_served()
    served.items.recent = [0, *range(300)]
    found = Recommender(served).recommend([], 2, explain=True)
    assert found.basis == "popularity" and [item.why for item in found.items] == [None, None]


@pytest.mark.parametrize("method", list(METHODS))
def test_a_model_of_a_window_is_explained_by_the_events_that_it_reads(method: str) -> None:
    model = random_model()
    model.served.history_limit = 4
    history = model.read(random_events(10))
    found = model.recommend_histories({"u": history}, 2, explain=method)["u"]
    why = found.items[0].why
    assert why is not None
    assert [event.item for event in why.events] == [model.served.items.tokens[i] for i in history.item_seq[-4:]]
    last = model.served.items.titles[history.item_seq[-1]]
    assert last.replace("<", "&lt;").replace(">", "&gt;") in page_of(model, "u", history, found)
    assert all(len(course.values) == 4 for course in courses(model, history, found))


def test_a_history_too_long_to_explain_is_refused() -> None:
    with pytest.raises(ValueError, match=r"up to 5,000 events can be explained; this one has 5,001\."):
        random_model().recommend(["i1"] * 5001, explain=True)
