"""The application as a replica in a larger system: it opens the store itself, and exits when it loses the store."""

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import torch
from fastapi import FastAPI

from recbole_longinterest.service.app import create_app
from recbole_longinterest.service.logs import set_up_logs
from recbole_longinterest.service.run import started_service
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.service.workers import WorkerSetup


def replica_app(setup: WorkerSetup) -> FastAPI:
    """Create the application of a replica; the store is closed when the application stops.

    Args:
        setup: setup shared by all replicas.

    Raises:
        LongInterestError: for a model or a store that cannot be used.
    """
    set_up_logs(setup.level, setup.options.log_users)
    torch.set_num_threads(setup.threads)
    stack = ExitStack()
    try:
        store = stack.enter_context(open_store(setup.store, shared=True))
        # The supervisor starts a new replica, which opens the store or reports why it cannot.
        app = create_app(started_service(setup.place.get(), store, setup.options, lambda: os._exit(2)))
    except BaseException:
        stack.close()
        raise
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(given: FastAPI) -> AsyncIterator[None]:
        with stack:
            async with inner(given):
                yield

    app.router.lifespan_context = lifespan
    return app
