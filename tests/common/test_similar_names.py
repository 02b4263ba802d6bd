"""Names that differ by case, spaces, dashes and underscores only."""

from recbole_longinterest.common.similar_names import notes_on_behaviors, similar_names


def test_groups_of_names() -> None:
    names = ["view", "View", "Add-To_Cart", "add to cart", "buy", "view%20", "buyer"]
    assert similar_names(names) == [["view", "View", "view%20"], ["Add-To_Cart", "add to cart"]]


def test_they_are_said_with_the_setting_that_joins_them() -> None:
    (said,) = notes_on_behaviors(["view", "buy", "View"])
    assert said.startswith("Behaviours that differ only by case, spaces, dashes or underscores: view, View. ")
    assert said.endswith("set behavior_map: {View: view}.")
