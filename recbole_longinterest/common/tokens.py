"""Tokens as users give them."""

from collections.abc import Collection

EXACT = 17  # letters of a float's text up to which it is the whole number that it was, and no neighbour of it


def token_of(value: object, known: Collection[str]) -> str:
    """The token that a value stands for.

    A whole number that was made a float, as pandas does beside a missing one, is the whole number's token.

    Args:
        value: an item or another token as it is given: 50, "50", 50.0, and "50.0" as a float is written to a file.
        known: tokens; one that is among them stays as it is.
    """
    token = str(value)
    if token not in known and token.endswith(".0") and len(token) <= EXACT and token[:-2] in known:
        return token[:-2]
    return token
