"""Errors of the store, and what a database says in one line."""

from sqlalchemy.exc import SQLAlchemyError

from recbole_longinterest.common.errors import LongInterestError


class StoreError(LongInterestError):
    """A store that cannot be opened, read or written."""


class StoreLostError(StoreError):
    """A store that another service has taken: this one may write no more."""


def one_line(error: SQLAlchemyError) -> str:
    """What a database says, without the statement and its values, which may be a user's."""
    origin = getattr(error, "orig", None)
    return " ".join(str(origin if origin is not None else type(error).__name__).split())[:300]
