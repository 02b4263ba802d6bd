"""Errors of the store, and database errors as one line of text."""

from sqlalchemy.exc import SQLAlchemyError

from recbole_longinterest.common.errors import LongInterestError


class StoreError(LongInterestError):
    """A store that cannot be opened, read or written."""


class StoreLostError(StoreError):
    """The store was taken by another service; this service must not write any more."""


def one_line(error: SQLAlchemyError) -> str:
    """Return a database's error message without the statement and its values, which may be personal data."""
    origin = getattr(error, "orig", None)
    return " ".join(str(origin if origin is not None else type(error).__name__).split())[:300]
