"""One base class for all errors that a user can act on."""


class LongInterestError(ValueError):
    """A setting, file, or argument that cannot be used; the message says what is wrong and what to do.

    It is a ``ValueError``, so code that catches ``ValueError`` catches it too.

    Attributes:
        exit_code: of `recbole-li` when it ends with this error.
    """

    exit_code = 2
