"""The registry of patches: every attribute of RecBole that the plugin replaces, by what and why.

A patch is written beside the function that takes RecBole's place::

    @patch("recbole.trainer.trainer:Trainer.fit", kind="feature", issue=2126, why="...", wraps=True)
    def resumable_loop(fit): ...

It is applied when the module of its target is imported, or at once if that is imported already. So what a function that
wraps calls when it is applied must stand above it in its file. What RecBole's code looked like when a patch was written
stands in :mod:`recbole_longinterest.plugin.fixes.recbole_sources`.
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
    """The attribute is not there in RecBole."""


MISSING = _Missing()


class PatchError(RuntimeError):
    """A patch that contradicts another one, or whose target RecBole does not have. A mistake in the plugin's code."""


@dataclass(eq=False)
class Patch:
    """One replaced attribute.

    Attributes:
        name: of the change; several attributes may belong to one change.
        target: ``package.module:Class.attribute`` or ``package.module:attribute``. A module alone means that something
            is done after its import.
        kind: ``fix`` (RecBole fails or is wrong on this stack), ``safety`` (files are read without running what they
            say), ``feature`` (the plugin needs a place of its own).
        issues: RecBole's issues about it.
        why: what happens without it.
        source: expected :func:`source_hash` of RecBole's code; None if there is none to compare.
        source_of: the code that the hash is of, as a target.
        after: name of the earlier patch of the same target.
        make: gives the value from the original.
        state: ``waiting`` for the import, ``applied``, ``not needed`` (RecBole's value stays), ``left out``.
        original: value before this patch.
        value: value after it.
        found: hash of RecBole's code in this process; None as long as it is not known.
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
        """Whether RecBole's code is the one that this was written for, as far as is known."""
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
    """Register what a function replaces in RecBole, and replace it when its module is there.

    Args:
        targets: ``package.module:attribute``; of a module alone, the function is called with it after its import and
            may return a function that takes everything back.
        kind: see :class:`Patch`.
        why: what happens without it, in one sentence.
        name: of the change; None is the function's.
        issue: RecBole's, if there are any.
        source_of: the code of RecBole that this is written for, where that is not the target.
        after: name of the earlier patch of the same target.
        wraps: the function gets the original and returns what takes its place (the original if nothing need change;
            None stands for an attribute that is not there). Without it, the function itself takes its place.

    Raises:
        PatchError: if a target has a patch already that ``after`` does not name, or none that it could follow.
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
    """The registered patches, in their order.

    Args:
        everything: import all modules with patches first; else only what this process has used is registered.
    """
    if everything:
        for fix in dict.fromkeys(fix for fixes in WATCHED.values() for fix in fixes):
            importlib.import_module(f"{FIXES}.{fix}")
    return list(_patches)


def unexpected() -> list[Patch]:
    """Patches whose RecBole code is not the one that they were written for, among what this process has imported."""
    return [each for each in _patches if not each.expected]


def leave_out(name: str) -> None:
    """Do not apply the patches of this name in this process; take back those that are applied.

    Args:
        name: of the change.
    """
    _left_out.add(name)
    undo(name)


def undo(name: str) -> None:
    """Take back the applied patches of this name; later patches of the same targets stay.

    Args:
        name: of the change.
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
    """Hash of a function's source text, without its indentation and empty lines; None if there is no text."""
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
            f"{new.target} has a patch already, {last}; a second one must name it: after={last!r}."
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
    """Module or class, and attribute."""
    module, _, path = target.partition(":")
    *classes, attribute = path.split(".")
    owner: Any = sys.modules[module]
    for name in classes:
        owner = getattr(owner, name, None)
        if owner is None:
            raise PatchError(f"There is no {name} in {module}, which the patch of {target} needs.")
    return owner, attribute


def _set(owner: Any, attribute: str, of: Patch, before: object, after: object) -> None:  # noqa: ANN401
    """Set an attribute. A module's own function is set everywhere where ``from ... import`` has bound it."""
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
    if not new.expected and not _warned:  # once; the command lists them all
        _warned.append(new.target)
        getLogger(__name__).warning(
            f"RecBole's {new.source_of} is not the one that the patch {new.name} was written for. "
            "Results may be wrong: install recbole==1.2.1 unchanged. `recbole-li doctor --patches` shows all."
        )
