"""Where an error was raised."""

from recbole_longinterest.common.errors import raised_at


def test_the_line_that_imports_what_is_missing() -> None:
    try:
        __import__("no_such_package")
    except ImportError as error:
        assert raised_at(error).startswith("test_errors.py, line ")  # not Python's import machinery
    assert raised_at(ValueError()) == "an unknown place"
