"""The application as a replica of a larger system has it: it opens the store itself, and ends when it loses it."""

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
    """Make the application of a replica; the store is closed when the application stops.

    Args:
        setup: the same for all replicas.

    Raises:
        LongInterestError: for a model or a store that cannot be used.
    """
    set_up_logs(setup.level, setup.options.log_users)
    torch.set_num_threads(setup.threads)
    stack = ExitStack()
    try:
        store = stack.enter_context(open_store(setup.store, shared=True))
        # Who started the replica starts another one, which finds the store or says why not.
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
