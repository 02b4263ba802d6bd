"""The registered patches as tables: for the documentation and for the terminal."""

from collections import Counter
from collections.abc import Sequence

from recbole_longinterest.plugin.fixes.registry import Patch

ISSUES = "https://github.com/RUCAIBox/RecBole/issues"
HEADER = f"""# Patches of RecBole

The attributes of RecBole 1.2.1 that the plugin replaces when their module is imported. This file is generated:
`recbole-li doctor --patches --markdown > docs/patches.md`.

- **fix**: RecBole fails or is wrong on the current Python stack, or everywhere.
- **safety**: a file or a setting is read without running code in it.
- **feature**: RecBole has no extension point for the plugin.

Attributes with the same name belong to one change. Issues are those of [RecBole]({ISSUES}); "-" means that no issue is
known. A hash tells whether RecBole's code is still the code that a patch was written for: see `recbole-li doctor`.

| attribute of RecBole | kind | name | issues | without the patch |
|---|---|---|---|---|
"""


def as_markdown(patches: Sequence[Patch]) -> str:
    """Render the page `docs/patches.md`.

    Args:
        patches: from :func:`recbole_longinterest.plugin.fixes.registry.patches`.
    """
    rows = []
    for each in _in_order(patches):
        issues = ", ".join(f"[#{issue}]({ISSUES}/{issue})" for issue in each.issues) or "-"
        what = f"`{_short(each.target)}`" + ("" if ":" in each.target else ", after its import")
        rows.append(f"| {what} | {each.kind} | `{each.name}` | {issues} | {each.why} |\n")
    return HEADER + "".join(rows)


def as_text(patches: Sequence[Patch]) -> str:
    """Render a table for the terminal: kind, whether RecBole's code is as expected, issues, attribute, name."""
    rows = [("kind", "code", "issues", "attribute", "patch")]
    for each in _in_order(patches):
        code = "changed" if not each.expected else "expected" if each.found else "-"
        issues = ", ".join(f"#{issue}" for issue in each.issues) or "-"
        rows.append((each.kind, code, issues, _short(each.target), each.name))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


def in_numbers(patches: Sequence[Patch]) -> str:
    """Summarise the number of patches of each kind in one line."""
    kinds = Counter(kind for _, kind in {(each.name, each.kind) for each in patches})
    counted = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return f"{len(patches)} attributes replaced by {sum(kinds.values())} patches ({counted})"


def _in_order(patches: Sequence[Patch]) -> list[Patch]:
    return sorted(patches, key=lambda each: (_short(each.target), each.name))


def _short(target: str) -> str:
    """``recbole.trainer.trainer:Trainer.fit`` as ``trainer.trainer.Trainer.fit``."""
    return target.replace(":", ".").removeprefix("recbole.")
