"""Match values given by users to known tokens."""

from collections.abc import Collection

EXACT = 17  # longest text of a float that still gives its original whole number exactly


def token_of(value: object, known: Collection[str]) -> str:
    """Return the token of a value.

    A whole number that became a float, as pandas does in columns with missing values, gives the whole number's token.

    Args:
        value: an item or another token: 50, "50", 50.0, or "50.0".
        known: the known tokens; a value among them stays unchanged.
    """
    token = str(value)
    if token not in known and token.endswith(".0") and len(token) <= EXACT and token[:-2] in known:
        return token[:-2]
    return token
