"""Items by words of titles."""

import pytest

from recbole_longinterest.serving.item_search import MeaningSearch, TitleSearch, folded
from recbole_longinterest.serving.similar import similar_items
from tests.served import random_model

TITLES = [
    *("", "The Lion King", "Lion", "Sea Lions, The", "King of the Lions: A Story"),
    *("Amélie", "Café Müller", "", "Heliotrope lion"),
]


@pytest.fixture
def search() -> TitleSearch:
    return TitleSearch(["[PAD]", *(f"t{number}" for number in range(1, len(TITLES)))], TITLES)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("lion", [2, 1, 3, 8, 4]),
        ("LION  king", [1, 4]),
        ("the lion", [1, 4, 3]),
        ("amelie", [5]),
        ("cafe", [6]),
        ("müller!", [6]),
        ("t7", [7]),
        ("t0", []),
        ("[PAD]", []),
        ("zebra", []),
        ("", []),
        ("?!", []),
    ],
)
def test_titles_are_found_by_their_words(search: TitleSearch, query: str, found: list[int]) -> None:
    assert search.find(query) == found
    assert search.find(query, 1) == found[:1]


def test_the_token_comes_first() -> None:
    assert TitleSearch(["[PAD]", "1", "2"], ["", "2 days", "1 day"]).find("1") == [1, 2]


def test_words_are_folded() -> None:
    assert folded("  Ça—va? STRASSE straße ﬁn ") == "ca va strasse strasse fin"


def test_a_number_below_1_is_refused(search: TitleSearch) -> None:
    with pytest.raises(ValueError, match="k must be a whole number of at least 1; got 0"):
        search.find("lion", 0)


def test_a_model_without_texts_has_no_search_by_meaning() -> None:
    with pytest.raises(ValueError, match="This model has no text encoder, so items can only be found by title"):
        MeaningSearch(random_model().served)


def test_similar_items_are_those_at_the_smallest_angle() -> None:
    model = random_model()
    vectors = model.items[1:] / model.items[1:].norm(dim=1, keepdim=True)
    cosine = vectors @ vectors[6]
    wanted = [f"i{number}" for number in cosine.argsort(descending=True).tolist() if number != 6]
    found = similar_items(model, 7, 400)
    assert [item.item for item in found] == wanted and found[0].score == pytest.approx(float(cosine.sort().values[-2]))
    assert len(similar_items(model, 7, 5)) == 5
    with pytest.raises(ValueError, match="k must be a whole number"):
        similar_items(model, 7, 0)
