"""Model versions: the exported folders in one folder, which is given at startup and cannot be changed by requests."""

import re
from dataclasses import dataclass
from logging import ERROR
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.logs import log
from recbole_longinterest.serving.canaries import ask_canaries
from recbole_longinterest.serving.index import load_index
from recbole_longinterest.serving.manifest import MANIFEST
from recbole_longinterest.serving.recommender import Recommender

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")  # excludes parent folders and temporary folders of an export


class VersionError(LongInterestError):
    """A version that is not in the folder."""


@dataclass(frozen=True)
class Versions:
    """The folder of versions.

    Attributes:
        folder: folder with one exported folder per version; links are ignored.
        engine: see :meth:`Recommender.load`.
        trusted_key: see :meth:`Recommender.load`; None for unsigned folders.
        mapped: see :meth:`Recommender.load`; for several processes on one machine.
    """

    folder: Path
    engine: str = "torch"
    trusted_key: str | None = None
    mapped: bool = False

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Return version -> (time, inode) of its manifest, newest last; the stamp changes with each export.

        Raises:
            VersionError: if the folder cannot be read.
        """
        found = []
        try:
            for place in self.folder.iterdir():
                if NAME.fullmatch(place.name) and not place.is_symlink() and (place / MANIFEST).is_file():
                    about = (place / MANIFEST).stat()
                    found.append((about.st_mtime_ns, place.name, about.st_ino))
        except OSError as error:
            raise VersionError(f"The folder of models {self.folder} cannot be read: {error.strerror}.") from error
        return {name: (time, file) for time, name, file in sorted(found)}

    def place(self, name: str) -> Path:
        """Return the folder of a version.

        Raises:
            VersionError: for an unknown version.
        """
        known = self.stamps()
        if name not in known:
            raise VersionError(
                f"{self.folder} has no version {name!r}; it has {', '.join(known) or 'no versions'}. Make one with "
                f"recbole-li export --output {self.folder}/NAME."
            )
        return self.folder / name

    def load(self, name: str) -> Recommender:
        """Load a version, check its files against the manifest, and test recommendations for a dozen users.

        Raises:
            VersionError: for an unknown version.
            LongInterestError: for a version that is broken, lacks a required signature, or cannot rank items.
        """
        model = Recommender.load(self.place(name), self.engine, trusted_key=self.trusted_key, mapped=self.mapped)
        ask_canaries(model)
        load_index(model)
        return model

    def first(self, wanted: list[str]) -> tuple[str, Recommender]:
        """Choose and load the version to start with.

        Args:
            wanted: versions that were active before, the last one first.

        Returns:
            Name and model of the first wanted version that works, or else of the newest version that works.

        Raises:
            LongInterestError: if there is no version, or if no version works.
        """
        known = self.stamps()
        newest_first = list(known)[::-1]
        problem: LongInterestError | None = None
        for name in dict.fromkeys([*(name for name in wanted if name in known), *newest_first]):
            try:
                return name, self.load(name)
            except LongInterestError as error:
                log("model refused", ERROR, version=name, detail=str(error))
                problem = error
        if problem is not None:
            raise LongInterestError(f"No version in {self.folder} can be served: {problem}") from problem
        raise VersionError(
            f"{self.folder} has no versions. Make one with recbole-li export --output {self.folder}/NAME."
        )
