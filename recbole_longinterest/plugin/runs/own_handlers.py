"""Log handlers of the run that a process is in; those of its program are left alone."""

import logging

_handlers: list[logging.Handler] = []


def add(handler: logging.Handler) -> None:
    """Add a handler to the root logger, for this run."""
    _handlers.append(handler)
    logging.getLogger().addHandler(handler)


def handlers() -> list[logging.Handler]:
    """Those of this run that are still in use."""
    return [handler for handler in _handlers if handler in logging.getLogger().handlers]


def remove_all() -> None:
    """Take this run's handlers away and close them: another run begins."""
    while _handlers:
        handler = _handlers.pop()
        logging.getLogger().removeHandler(handler)
        handler.close()
