"""Switch the active model to another version without interrupting requests; all processes of a service follow.

The store has a document with the active version, so that restarts and other processes serve the same one.
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
SEEN = "seen"  # key: time of the newest version when the document was written, to detect later versions after a restart
MEMBERS = ("version", "previous", "fingerprint", "shadow", SEEN)
NEWEST = 200  # newest events of the store, which a new model must be able to read


class Models:
    """Switches model versions.

    Args:
        versions: the folder of versions; None for a service with a single model folder.
        version: version active at the start.
        watch: automatically activate versions that appear in the folder.
        items: the items, with the active model.
        store: the store, with the document and events.
        submit: submits a job to the writer.
        shadow: shadow that scores live requests with a second version.
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
        self._document = {"previous": None, **kept, "version": version, "fingerprint": items.base.fingerprint}
        stamps = {} if versions is None else versions.stamps()
        self._known = {name: stamp for name, stamp in stamps.items() if stamp[0] <= int(kept.get(SEEN, stamp[0]))}
        self._failed_checks: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._following: asyncio.Future[None] | None = None  # start or stop of the shadow in progress
        self._thread = ThreadPoolExecutor(1, "model")  # its own thread: loading a model is slow

    async def start(self) -> None:
        """Restart the shadow that ran before the last stop."""
        if self._document.get("shadow"):
            self._follow_shadow(self._document["shadow"])

    async def stop(self) -> None:
        """Stop the shadow."""
        await self.shadow.stop()
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def state(self) -> schemas.Models:
        """List the versions, and say which one is active.

        Raises:
            VersionError: if the folder cannot be read.
        """
        known = [] if self._versions is None else list(self._versions.stamps())
        return schemas.Models(
            version=self._document.get("version"),
            model=self._items.model.fingerprint,
            previous=self._document.get("previous"),
            shadow=self.shadow.version,
            versions=known,
            refused={name: why for name, why in self._failed_checks.items() if name in known},
        )

    async def change(self, name: str) -> schemas.Models:
        """Activate a version. The old version answers until then, and stays active if the new one fails its checks.

        Raises:
            Problem: for an unknown version, or one that fails its checks.
            StoreError: if the store fails; the old version stays active.
        """
        await asyncio.shield(asyncio.ensure_future(self._change(name)))  # finishes even if the client disconnects
        return self.state()

    async def back(self) -> schemas.Models:
        """Return to the previous version; see :meth:`change`."""
        self._require_versions()
        if self._document.get("previous") is None:
            raise Problem(UNKNOWN_VERSION, "No other version was active before.")
        return await self.change(self._document["previous"])

    async def set_shadow(self, name: str | None) -> schemas.Models:
        """Let a second version score live requests as a shadow; None stops the shadow.

        Raises:
            Problem: for an unknown version, or one that fails its checks.
        """
        versions = self._require_versions()

        async def work() -> None:
            async with self._changing:
                if name is None:
                    await self.shadow.end()
                else:
                    await self._checked(name, self.shadow.begin(versions, name))
                await self._save_document(shadow=name)

        await asyncio.shield(asyncio.ensure_future(work()))
        return self.state()

    async def look(self, changed: bool) -> None:
        """Follow changes by other processes, and activate new versions if watched.

        Args:
            changed: whether the store's document may have changed.
        """
        if self._versions is None:
            return
        try:
            if changed:
                await self._follow()
            if self._watch:
                await self._look_for_new(self._versions)
        except Problem as error:
            if error.kind is not MODEL_REFUSED:  # which is already logged
                raise

    # --- inside ------------------------------------------------------------------------------------------------------

    def _require_versions(self) -> Versions:
        if self._versions is None:
            raise Problem(NO_VERSIONS, "Switching models needs a service that is started with --models FOLDER.")
        return self._versions

    async def _change(self, name: str) -> None:
        versions = self._require_versions()
        async with self._changing:
            before = self._document["version"]
            model = await self._loaded(versions, name)
            previous = before if before != name else self._document.get("previous")

            async def agreed() -> None:
                await self._save_document(version=name, previous=previous, fingerprint=model.fingerprint)

            await self._checked(name, self._items.follow(model, agreed))
            log("model changed", version=name, before=before, model=self._items.model.fingerprint)

    async def _loaded(self, versions: Versions, name: str) -> Recommender:
        """Load a version, verify it, and check that it can read the newest events."""

        def load() -> Recommender:
            model = versions.load(name)
            newest = [each.event() for each in self._store.newest(NEWEST)]
            problem = _problem(model, newest)
            if problem is not None and _problem(self._items.model, newest) is None:
                raise LongInterestError(f"It cannot read events that the active version can: {problem}") from problem
            return model

        return await self._checked(name, asyncio.get_running_loop().run_in_executor(self._thread, load))

    async def _checked(self, name: str, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - the result of the work
        """Await work with a version, and record whether the version is usable.

        Raises:
            Problem: if the version cannot be used.
        """
        try:
            done = await work
        except StoreError:
            raise
        except VersionError as error:
            raise Problem(UNKNOWN_VERSION, str(error)) from error
        except (LongInterestError, Problem) as error:
            self._failed_checks[name] = str(error)
            log("model refused", ERROR, version=name, detail=str(error))
            raise Problem(MODEL_REFUSED, f"The version {name} cannot be used; nothing has changed: {error}") from error
        self._failed_checks.pop(name, None)
        return done

    async def _save_document(self, **changes: str | None) -> None:
        """Save the active version in the store."""
        seen = max((time for time, _ in self._known.values()), default=0)
        said = {**self._document, **changes, SEEN: seen}
        await self._submit(ChangeDocument(DOCUMENT, lambda kept: json.dumps({**_read(kept), **said}, sort_keys=True)))
        self._document = said

    async def _follow(self) -> None:
        """Apply the changes made by another process."""
        loop = asyncio.get_running_loop()
        async with self._changing:
            said = await loop.run_in_executor(self._thread, said_by, self._store)
            if not said or said == self._document or self._versions is None:
                return
            if said.get("fingerprint") != self._document["fingerprint"]:
                model = await self._loaded(self._versions, said["version"])
                if model.fingerprint != said["fingerprint"]:
                    raise LongInterestError(
                        f"The version {said['version']} differs from the one of the process that activated it."
                    )
                await self._checked(said["version"], self._items.follow(model))
                log("model changed", version=said["version"], model=self._items.model.fingerprint)
            shadow, self._document = self._document.get("shadow"), said
            if said.get("shadow") != shadow:
                self._follow_shadow(said.get("shadow"))

    def _follow_shadow(self, name: str | None) -> None:
        """Start or stop the shadow in the background, as another process has done."""
        before, versions = self._following, self._versions

        async def follow() -> None:
            if before is not None:
                await asyncio.gather(before, return_exceptions=True)
            if name is None or versions is None:
                await self.shadow.end()
            else:
                with contextlib.suppress(Problem):  # already logged; a failed shadow must not stop the service
                    await self._checked(name, self.shadow.begin(versions, name))

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
    """Read the active version and the shadow from the store; may be empty."""
    return _read(store.document(DOCUMENT))


def _read(text: str | None) -> dict[str, Any]:
    found: Mapping[str, Any] = {} if text is None else json.loads(text)
    return {name: found[name] for name in MEMBERS if name in found}
