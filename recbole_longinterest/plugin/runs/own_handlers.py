"""Log handlers of the current run, kept apart from the handlers of the program."""

import logging

_handlers: list[logging.Handler] = []


def add(handler: logging.Handler) -> None:
    """Add a handler to the root logger, for this run."""
    _handlers.append(handler)
    logging.getLogger().addHandler(handler)


def handlers() -> list[logging.Handler]:
    """Handlers of this run that are still attached to the root logger."""
    return [handler for handler in _handlers if handler in logging.getLogger().handlers]


def remove_all() -> None:
    """Remove and close this run's handlers before another run begins."""
    while _handlers:
        handler = _handlers.pop()
        logging.getLogger().removeHandler(handler)
        handler.close()
