"""Checkpoints of LongInterest from before its network was made of sources, in today's form.

Then the tensors had other names, and the learned vector of items without a text stood before the ID embedding, in whose
place an optimizer keeps its state.
"""

from typing import Any

from recbole_longinterest.nn.state_keys import ID, OLD_KEYS, TEXT, item_key, renamed

PARAMETERS = (ID, item_key(TEXT, "project.weight"), item_key(TEXT, "absent"))
BUFFERS = {"trained", *(old for old, new in OLD_KEYS.items() if new not in PARAMETERS)}  # of an old state
OLD_ORDER = ("item_encoder.no_text", "item_encoder.id_embedding.weight")  # parameters that have changed places


def upgrade(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint in today's form; one of today is given back as it is.

    Args:
        state: of LongInterest, as read from its file.
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
    """State of an optimizer over parameters in another order; its groups name them by number."""
    return {**optimizer, "state": {places.get(number, number): kept for number, kept in optimizer["state"].items()}}
