"""The model in force, exchanged for another version while requests are answered; all processes of a service follow.

The store has a document with the version, so that a restart and other processes serve the same one.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from logging import ERROR
from typing import Any

import recbole_longinterest.service.model_schemas as schemas
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.items import Items
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.problems import MODEL_REFUSED, NO_VERSIONS, UNKNOWN_VERSION, Problem
from recbole_longinterest.service.shadow import Shadow
from recbole_longinterest.service.shop_parts import Prepared
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.store.records import ChangeDocument, Job
from recbole_longinterest.service.store.store import Store
from recbole_longinterest.service.versions import VersionError, Versions
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender

DOCUMENT = "models"
SEEN = "seen"  # in it: the time of the newest version when it was written, so that later ones are found after a restart
MEMBERS = ("version", "previous", "fingerprint", "shadow", SEEN)
NEWEST = 200  # events of the store that a model has to be able to read


class Models:
    """Exchanges models.

    Args:
        versions: to choose from; None for a service of one model folder.
        version: that is in force at the start.
        watch: whether a version that appears in the folder comes into force by itself.
        items: with the model in force.
        store: with the document, and events.
        submit: writes a job.
        shadow: scores live requests with a second version.
    """

    def __init__(
        self,
        versions: Versions | None,
        version: str | None,
        watch: bool,
        items: Items[Prepared],
        store: Store,
        submit: "Callable[[Job], asyncio.Future[Any]]",
        shadow: Shadow,
    ) -> None:
        self._versions, self._watch, self._items, self._store = versions, watch, items, store
        self._submit, self.shadow = submit, shadow
        kept = said_by(store) if versions is not None else {}
        self._said = {"previous": None, **kept, "version": version, "fingerprint": items.base.fingerprint}
        stamps = {} if versions is None else versions.stamps()
        self._known = {name: stamp for name, stamp in stamps.items() if stamp[0] <= int(kept.get(SEEN, stamp[0]))}
        self._refused: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._following: asyncio.Future[None] | None = None  # the shadow's beginning or end
        self._thread = ThreadPoolExecutor(1, "model")  # of its own: reading a model takes long

    async def start(self) -> None:
        """Go on as before the last stop: with the shadow that there was."""
        if self._said.get("shadow"):
            self._follow_shadow(self._said["shadow"])

    async def stop(self) -> None:
        """End the shadow."""
        await self.shadow.stop()
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def state(self) -> schemas.Models:
        """Which versions there are, and which is in force.

        Raises:
            VersionError: if the folder cannot be read.
        """
        known = [] if self._versions is None else list(self._versions.stamps())
        return schemas.Models(
            version=self._said.get("version"),
            model=self._items.model.fingerprint,
            previous=self._said.get("previous"),
            shadow=self.shadow.version,
            versions=known,
            refused={name: why for name, why in self._refused.items() if name in known},
        )

    async def change(self, name: str) -> schemas.Models:
        """Bring a version into force. The one of before answers until then, and stays if the new one is refused.

        Raises:
            Problem: for a version that the folder does not have, or that is refused.
            StoreError: if the store fails; the version of before stays.
        """
        await asyncio.shield(asyncio.ensure_future(self._change(name)))  # to its end, also where the client has gone
        return self.state()

    async def back(self) -> schemas.Models:
        """Bring the version of before into force again; see :meth:`change`."""
        self._asked()
        if self._said.get("previous") is None:
            raise Problem(UNKNOWN_VERSION, "No other version was in force before.")
        return await self.change(self._said["previous"])

    async def set_shadow(self, name: str | None) -> schemas.Models:
        """Let a second version score live requests beside the answers; None for no more.

        Raises:
            Problem: for a version that the folder does not have, or that is refused.
        """
        versions = self._asked()

        async def work() -> None:
            async with self._changing:
                if name is None:
                    await self.shadow.end()
                else:
                    await self._tried(name, self.shadow.begin(versions, name))
                await self._keep(shadow=name)

        await asyncio.shield(asyncio.ensure_future(work()))
        return self.state()

    async def look(self, changed: bool) -> None:
        """Follow other processes, and versions that have appeared.

        Args:
            changed: whether the store's document may be another one.
        """
        if self._versions is None:
            return
        try:
            if changed:
                await self._follow()
            if self._watch:
                await self._look_for_new(self._versions)
        except Problem as error:
            if error.kind is not MODEL_REFUSED:  # which the log has
                raise

    # --- inside ------------------------------------------------------------------------------------------------------

    def _asked(self) -> Versions:
        if self._versions is None:
            raise Problem(NO_VERSIONS, "Models can be exchanged where the service is started with --models FOLDER.")
        return self._versions

    async def _change(self, name: str) -> None:
        versions = self._asked()
        async with self._changing:
            before = self._said["version"]
            model = await self._loaded(versions, name)
            previous = before if before != name else self._said.get("previous")

            async def agreed() -> None:
                await self._keep(version=name, previous=previous, fingerprint=model.fingerprint)

            await self._tried(name, self._items.follow(model, agreed))
            log("model changed", version=name, before=before, model=self._items.model.fingerprint)

    async def _loaded(self, versions: Versions, name: str) -> Recommender:
        """A version that was verified, and can read the newest events."""

        def load() -> Recommender:
            model = versions.load(name)
            newest = [each.event() for each in self._store.newest(NEWEST)]
            problem = _problem(model, newest)
            if problem is not None and _problem(self._items.model, newest) is None:
                raise LongInterestError(f"It cannot read events that the one in force can: {problem}") from problem
            return model

        return await self._tried(name, asyncio.get_running_loop().run_in_executor(self._thread, load))

    async def _tried(self, name: str, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - the result of the work
        """What work with a version gives.

        Raises:
            Problem: if the version is refused.
        """
        try:
            done = await work
        except StoreError:
            raise
        except VersionError as error:
            raise Problem(UNKNOWN_VERSION, str(error)) from error
        except (LongInterestError, Problem) as error:
            self._refused[name] = str(error)
            log("model refused", ERROR, version=name, detail=str(error))
            raise Problem(MODEL_REFUSED, f"The version {name} is refused, and nothing has changed: {error}") from error
        self._refused.pop(name, None)
        return done

    async def _keep(self, **changes: str | None) -> None:
        """Say in the store what is in force."""
        seen = max((time for time, _ in self._known.values()), default=0)
        said = {**self._said, **changes, SEEN: seen}
        await self._submit(ChangeDocument(DOCUMENT, lambda kept: json.dumps({**_read(kept), **said}, sort_keys=True)))
        self._said = said

    async def _follow(self) -> None:
        """Do what another process has done."""
        loop = asyncio.get_running_loop()
        async with self._changing:
            said = await loop.run_in_executor(self._thread, said_by, self._store)
            if not said or said == self._said or self._versions is None:
                return
            if said.get("fingerprint") != self._said["fingerprint"]:
                model = await self._loaded(self._versions, said["version"])
                if model.fingerprint != said["fingerprint"]:
                    raise LongInterestError(f"The version {said['version']} is another one here than where it was set.")
                await self._tried(said["version"], self._items.follow(model))
                log("model changed", version=said["version"], model=self._items.model.fingerprint)
            shadow, self._said = self._said.get("shadow"), said
            if said.get("shadow") != shadow:
                self._follow_shadow(said.get("shadow"))

    def _follow_shadow(self, name: str | None) -> None:
        """Begin or end the shadow as another process has done, while the service goes on."""
        before, versions = self._following, self._versions

        async def follow() -> None:
            if before is not None:
                await asyncio.gather(before, return_exceptions=True)
            if name is None or versions is None:
                await self.shadow.end()
            else:
                with contextlib.suppress(Problem):  # which is in the log: a shadow is no reason to end
                    await self._tried(name, self.shadow.begin(versions, name))

        self._following = asyncio.ensure_future(follow())

    async def _look_for_new(self, versions: Versions) -> None:
        stamps = await asyncio.get_running_loop().run_in_executor(self._thread, versions.stamps)
        new = [name for name, stamp in stamps.items() if self._known.get(name) != stamp]
        self._known = stamps
        if new:
            await self._change(new[-1])


def _problem(model: Recommender, events: list[Event]) -> LongInterestError | None:
    try:
        model.read(events)
    except LongInterestError as error:
        return error
    return None


def said_by(store: Store) -> dict[str, Any]:
    """What the store has of the versions in force; empty for nothing."""
    return _read(store.document(DOCUMENT))


def _read(text: str | None) -> dict[str, Any]:
    found: Mapping[str, Any] = {} if text is None else json.loads(text)
    return {name: found[name] for name in MEMBERS if name in found}
