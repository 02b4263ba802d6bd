"""Convert LongInterest checkpoints from before sources were introduced.

Their tensors have other names. The learned vector of items without a text comes before the ID embedding, and the
optimizer's state follows that order.
"""

from typing import Any

from recbole_longinterest.nn.state_keys import ID, OLD_KEYS, TEXT, item_key, renamed

PARAMETERS = (ID, item_key(TEXT, "project.weight"), item_key(TEXT, "absent"))
BUFFERS = {"trained", *(old for old, new in OLD_KEYS.items() if new not in PARAMETERS)}  # in an old state dict
OLD_ORDER = ("item_encoder.no_text", "item_encoder.id_embedding.weight")  # parameters whose order was reversed


def upgrade(state: dict[str, Any]) -> dict[str, Any]:
    """Convert an old checkpoint to the current form; a current one is returned unchanged.

    Args:
        state: a LongInterest checkpoint, as read from its file.
    """
    weights = state["state_dict"]
    if not any(key in OLD_KEYS for key in weights):
        return state
    upgraded = {**state, "state_dict": renamed(weights)}
    if all(key in weights for key in OLD_ORDER):
        parameters = [key for key in weights if key not in BUFFERS]
        first, second = (parameters.index(key) for key in OLD_ORDER)
        places = {first: second, second: first}
        if isinstance(state.get("optimizer"), dict):
            upgraded["optimizer"] = _reordered(state["optimizer"], places)
        average = (state.get("run") or {}).get("average")
        if average:
            kept = list(average["weights"])
            kept[first], kept[second] = kept[second], kept[first]
            upgraded["run"] = {**state["run"], "average": {**average, "weights": kept}}
    return upgraded


def _reordered(optimizer: dict[str, Any], places: dict[int, int]) -> dict[str, Any]:
    """Reorder the state of an optimizer, which numbers the parameters."""
    return {**optimizer, "state": {places.get(number, number): kept for number, kept in optimizer["state"].items()}}
