"""The registry of patches: every attribute of RecBole that the plugin replaces, with its replacement and the reason.

A patch decorates the replacement::

    @patch("recbole.trainer.trainer:Trainer.fit", kind="feature", issue=2126, why="...", wraps=True)
    def resumable_loop(fit): ...

It is applied when the target's module is imported, or at once if that is already imported. So a function with
``wraps=True`` may only call functions that are defined above it in its file. The expected hashes of RecBole's code are
in :mod:`recbole_longinterest.plugin.fixes.recbole_sources`.
"""

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from logging import getLogger
from types import FunctionType
from typing import Any, Literal, TypeVar

from recbole_longinterest.plugin.fixes.hooks import FIXES, WATCHED, when_imported
from recbole_longinterest.plugin.fixes.recbole_sources import SOURCES

Kind = Literal["fix", "safety", "feature"]
Function = TypeVar("Function", bound=Callable[..., object])


class _Missing:
    """Marks an attribute that RecBole does not have."""


MISSING = _Missing()


class PatchError(RuntimeError):
    """A patch conflicts with another one, or RecBole lacks its target: a bug in the plugin."""


@dataclass(eq=False)
class Patch:
    """One replaced attribute.

    Attributes:
        name: name of the change; several attributes may belong to one change.
        target: ``package.module:Class.attribute``, ``package.module:attribute``, or only a module for a function that
            runs after its import.
        kind: ``fix`` (RecBole fails or is wrong on this stack), ``safety`` (files are read without running code in
            them), ``feature`` (RecBole has no extension point for the plugin).
        issues: RecBole's issues about it.
        why: what happens without it.
        source: expected :func:`source_hash` of RecBole's code; None if there is nothing to compare.
        source_of: target of the hashed code.
        after: name of the earlier patch of the same target.
        make: returns the new value for the original.
        state: ``waiting`` for the import, ``applied``, ``not needed`` (RecBole's value stays), ``left out``.
        original: value before this patch.
        value: value after this patch.
        found: hash of RecBole's code in this process; None until it is known.
    """

    name: str
    target: str
    kind: Kind
    issues: tuple[int, ...]
    why: str
    source: str | None
    source_of: str
    after: str | None
    make: Callable[[Any], object]
    state: str = "waiting"
    original: object = MISSING
    value: object = MISSING
    found: str | None = None

    @property
    def module(self) -> str:
        """Name of the module that holds the target."""
        return self.target.partition(":")[0]

    @property
    def expected(self) -> bool:
        """Whether RecBole's code has the expected hash, or the hash is unknown."""
        return self.source is None or self.found is None or self.source == self.found


_patches: list[Patch] = []
_left_out: set[str] = set()
_warned: list[str] = []


def patch(
    *targets: str,
    kind: Kind,
    why: str,
    name: str | None = None,
    issue: int | tuple[int, ...] | None = None,
    source_of: str | None = None,
    after: str | None = None,
    wraps: bool = False,
) -> Callable[[Function], Function]:
    """Register a function as a replacement in RecBole, applied when the target's module is imported.

    Args:
        targets: ``package.module:attribute``; for only a module, the function is called with it after its import and
            may return a function that undoes the patch.
        kind: see :class:`Patch`.
        why: what happens without it, in one sentence.
        name: name of the change; None for the function's name.
        issue: number or numbers of RecBole's issues.
        source_of: target of the RecBole code that this was written for, if it differs from the target.
        after: name of the earlier patch of the same target.
        wraps: if True, the function is called with the original (None for a missing attribute) and returns the
            replacement, or the original if no change is needed. Otherwise, the function itself is the replacement.

    Raises:
        PatchError: if ``after`` does not name the last patch of a target.
    """

    def register(function: Function) -> Function:
        for target in targets:
            new = Patch(
                name or function.__name__,
                target,
                kind,
                issue if isinstance(issue, tuple) else () if issue is None else (issue,),
                why,
                SOURCES.get(source_of or target),
                source_of or target,
                after,
                function if wraps or ":" not in target else lambda _: function,
            )
            _check_order(new)
            _patches.append(new)
            when_imported(new.module, lambda _, new=new: _apply(new))  # type: ignore[misc]
        return function

    return register


def patches(*, everything: bool = False) -> list[Patch]:
    """The registered patches, in order of registration.

    Args:
        everything: import all modules with patches first; otherwise the list has only those this process has used.
    """
    if everything:
        for fix in dict.fromkeys(fix for fixes in WATCHED.values() for fix in fixes):
            importlib.import_module(f"{FIXES}.{fix}")
    return list(_patches)


def unexpected() -> list[Patch]:
    """The registered patches whose RecBole code does not have the expected hash."""
    return [each for each in _patches if not each.expected]


def leave_out(name: str) -> None:
    """Do not apply the patches of this name in this process, and undo those already applied.

    Args:
        name: name of the change.
    """
    _left_out.add(name)
    undo(name)


def undo(name: str) -> None:
    """Undo the applied patches of this name; later patches of the same targets stay.

    Args:
        name: name of the change.
    """
    for undone in reversed([each for each in _patches if each.name == name and each.state == "applied"]):
        later = [each for each in _on(undone.target) if each.state == "applied"]
        later = later[later.index(undone) :]
        for each in reversed(later):
            _take_back(each)
        undone.state = "left out"
        for each in later[1:]:
            _apply(each)


def source_hash(code: object) -> str | None:
    """Hash of a function's source text without indentation and empty lines; None if the source is not available."""
    try:
        lines = textwrap.dedent(inspect.getsource(code)).splitlines()  # type: ignore[arg-type]
    except (TypeError, OSError):
        return None
    return sha256("\n".join(line.rstrip() for line in lines if line.strip()).encode()).hexdigest()[:12]


# --- applying --------------------------------------------------------------------------------------------------------


def _on(target: str) -> list[Patch]:
    return [each for each in _patches if each.target == target]


def _check_order(new: Patch) -> None:
    earlier = _on(new.target) if ":" in new.target else []
    last = earlier[-1].name if earlier else None
    if last != new.after:
        raise PatchError(
            f"{new.target} already has the patch {last}; a second one must name it: after={last!r}."
            if last
            else f"{new.target} has no patch {new.after} that {new.name} could follow."
        )


def _apply(new: Patch) -> None:
    if new.name in _left_out:
        new.state = "left out"
        return
    module = sys.modules[new.module]
    if ":" not in new.target:
        new.original, new.value, new.state = module, new.make(module), "applied"
        return
    owner, attribute = _place(new.target)
    new.original = vars(owner).get(attribute, MISSING)
    _compare_source(new)
    original = getattr(owner, attribute, None)
    new.value = new.make(original)
    if new.value is original:
        new.state = "not needed"
        return
    _set(owner, attribute, new, new.original, new.value)
    new.state = "applied"


def _take_back(old: Patch) -> None:
    if ":" not in old.target:
        if callable(old.value):
            old.value()
    else:
        owner, attribute = _place(old.target)
        if isinstance(old.original, _Missing):
            delattr(owner, attribute)
        else:
            _set(owner, attribute, old, old.value, old.original)
    old.state = "waiting"


def _place(target: str) -> tuple[Any, str]:
    """Resolve a target to its module or class, and attribute name."""
    module, _, path = target.partition(":")
    *classes, attribute = path.split(".")
    owner: Any = sys.modules[module]
    for name in classes:
        owner = getattr(owner, name, None)
        if owner is None:
            raise PatchError(f"The patch of {target} needs {name}, which {module} does not have.")
    return owner, attribute


def _set(owner: Any, attribute: str, of: Patch, before: object, after: object) -> None:  # noqa: ANN401
    """Set an attribute. A module's own function is also replaced wherever ``from ... import`` has bound it."""
    setattr(owner, attribute, after)
    if isinstance(of.original, FunctionType) and of.original.__module__ == getattr(owner, "__name__", None):
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", {})
            if names.get(attribute) is before and not str(names.get("__name__")).startswith(FIXES):
                setattr(module, attribute, after)


def _compare_source(new: Patch) -> None:
    first = _on(new.source_of)
    if first and first[0].state == "applied":
        code = first[0].original
    else:
        owner, attribute = _place(new.source_of)
        code = getattr(owner, attribute, None)
    new.found = source_hash(code)
    if not new.expected and not _warned:  # warn once; the command lists them all
        _warned.append(new.target)
        getLogger(__name__).warning(
            f"RecBole's {new.source_of} differs from the code that the patch {new.name} was written for. "
            "Results may be wrong: install recbole==1.2.1 unchanged. `recbole-li doctor --patches` shows all."
        )
