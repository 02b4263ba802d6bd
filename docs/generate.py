"""Write the reference pages that are generated from the code: commands, options, errors and licences.

`conf.py` calls this before Sphinx reads the sources. The pages go to docs/reference/generated/, which is not committed.
"""

import argparse
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from recbole_longinterest.cli import prepare
from recbole_longinterest.cli.main import make_parser
from recbole_longinterest.prepare.sources.registry import known_sources
from recbole_longinterest.service import problems

PROJECT = Path(__file__).resolve().parent.parent
OPTION = re.compile(r"(\w+):(?: +([^#\s].*?))?(?: +# (?:\((\w+)\) )?(.*))?")


def write_all(docs: Path) -> None:
    """Write all pages. Files that would not change are not written, so that Sphinx does not read them again."""
    folder = docs / "reference" / "generated"
    folder.mkdir(exist_ok=True)
    pages = {"commands": commands(), "options": options(), "errors": errors(), "licences": licences()}
    for name, text in pages.items():
        file = folder / f"{name}.md"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def commands() -> str:
    """Render a section for every command of `recbole-li`, from its parser."""
    parts = [
        "# Commands\n\nGenerated from the parsers; `recbole-li COMMAND --help` prints the same.\n"
        "Give any of the [options](options.md) as `--key=value`.\n"
    ]
    for name, parser in _subparsers(make_parser()).items():
        parts.append(_command(name, parser, 2))
        if name == "prepare":
            parts += [
                _command(f"prepare {kind}", prepare.source_parser(kind, known_sources()[kind]), 3)
                for kind in known_sources()
            ]
    return "\n".join(parts)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser by name."""
    (action,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


def _command(name: str, parser: argparse.ArgumentParser, depth: int) -> str:
    """Render the section of a command: description, a table of arguments for each group, epilog."""
    lines = [f"{'#' * depth} {name}", "", _plain(parser.description or ""), ""]
    for group in parser._action_groups:
        rows = [row for action in group._group_actions if (row := _row(action, parser))]
        if not rows:
            continue
        if group.title not in ("options", "positional arguments"):
            lines += [f"**{group.title}** {_plain(group.description or '')}".strip(), ""]
        lines += ["| argument | |", "|---|---|", *rows, ""]
    if parser.epilog:
        lines += [_plain(parser.epilog), ""]
    return "\n".join(lines)


def _row(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Render the row of an argument; empty for hidden arguments and --help."""
    if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
        return ""
    formatter = parser._get_formatter()
    value = (
        formatter._format_args(action, formatter._get_default_metavar_for_positional(action))
        if action.nargs != 0
        else ""
    )
    if action.option_strings:
        value = (
            formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
            if action.nargs != 0
            else ""
        )
        shown = ", ".join(f"`{option} {value}`" if value else f"`{option}`" for option in action.option_strings)
    else:
        shown = f"`{value}`"
    return f"| {_cell(shown)} | {_cell(_plain(formatter._expand_help(action) if action.help else ''))} |"


def _plain(text: str) -> str:
    """Convert a text to Markdown: mark options as code, escape other marks, and remove the path of this checkout."""
    text = re.sub(
        r'(?<![\w`-])--[a-z][\w-]*(?:=(?:\[[^]]*\]|"[^"]*"|[\w.]*\w))?', r"`\g<0>`", text.replace(f"{PROJECT}/", "")
    )
    parts = text.split("`")
    return "`".join(part if number % 2 else re.sub(r"([*_<>\[\]])", r"\\\1", part) for number, part in enumerate(parts))


def _cell(text: str) -> str:
    """Convert a text to the cell of a table."""
    return text.replace("|", r"\|").replace("\n", " ")


def options() -> str:
    """Render the options of LongInterest and of the plugin's other models, from their yaml files."""
    parts = [
        "# Options\n\nSet an option in a yaml file (`--config_files`), in a dict or on the command line "
        "(`--key=value`). RecBole's own keys (`epochs`, `topk`, `eval_args` ...) work, too.\n"
    ]
    files = sorted(
        (PROJECT / "properties").glob("*.yaml"), key=lambda file: (file.stem != "LongInterest", file.stem.lower())
    )
    for file in files:
        parts += [f"## {file.stem}", "", *_option_tables(file)]
        space = PROJECT / "properties" / "search" / file.name
        if space.is_file():
            tried = space.read_text(encoding="utf-8").strip()
            parts += [f"The search space of `recbole-li tune --model {file.stem}`:", "", "```yaml", tried, "```", ""]
    return "\n".join(parts)


def _option_tables(file: Path) -> Iterator[str]:
    """Render each part of a yaml file as a table."""
    rows: list[str] = []
    title = ""

    def table() -> Iterator[str]:
        if rows:
            yield from ([f"**{title}**", ""] if title else [])
            yield from ["| key | default | type | |", "|---|---|---|---|", *rows, ""]
            rows.clear()

    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        if line.startswith("# "):
            yield from table()
            title = line[2:].rstrip(".")
        elif found := OPTION.fullmatch(line):
            key, value, kind, meaning = (part or "" for part in found.groups())
            default = f"`{value}`" if value not in ("", "~") else ""
            rows.append(f"| `{key}` | {_cell(default)} | {kind} | {_cell(_plain(meaning))} |")
        elif line.startswith(" ") and line.lstrip().startswith("# ") and rows:  # the meaning continues
            rows[-1] = f"{rows[-1][:-2]} {_cell(_plain(line.lstrip()[2:]))} |"
        elif line.startswith(" ") and rows:  # a value below its key
            key, _, rest = rows[-1].partition(" |  | ")
            rows[-1] = f"{key} | `{{{line.strip()}}}` | {rest}"
    yield from table()


def errors() -> str:
    """Render the problem types of the HTTP service."""
    rows = [f"| `{problems.PREFIX}{kind.name}` | {kind.status} | {kind.title} |" for kind in problems.KINDS]
    head = "# Errors of the service\n\nThe service answers with problem details (RFC 9457) of these types.\n"
    return "\n".join([head, "| type | status | title |", "|---|---|---|", *rows, ""])


def licences() -> str:
    """Render the packages that an installation with all extras needs, with version and licence from their metadata."""
    found: dict[str, tuple[str, str]] = {}
    open_names = ["recbole-longinterest"]
    while open_names:
        name = open_names.pop()
        try:
            of = distribution(name)
        except PackageNotFoundError:  # an extra of another package, or for another system
            continue
        key = of.metadata["Name"]
        if key in found:
            continue
        found[key] = (of.version, _licence(of.metadata.get_all))
        ours = key == "recbole-longinterest"
        for need in map(Requirement, of.requires or []):
            extras = ("", *(of.metadata.get_all("Provides-Extra") or [])) if ours else ("",)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                open_names.append(need.name)
    found.pop("recbole-longinterest", None)
    rows = [
        f"| {name} | {version} | {_cell(said)} |"
        for name, (version, said) in sorted(found.items(), key=lambda item: item[0].lower())
    ]
    head = (
        "# Licences of the dependencies\n\nAll packages that an installation with all extras needs, with the version "
        "installed when this page was built and the licence in its metadata. This project and RecBole are MIT.\n"
    )
    return "\n".join([head, "| package | version | licence |", "|---|---|---|", *rows, ""])


def _licence(fields: object) -> str:
    """Find the licence: the SPDX expression, else the classifier, else the first line of the licence field."""
    assert callable(fields)
    if expression := fields("License-Expression"):
        return str(expression[0])
    classified = [each.rpartition(" :: ")[2] for each in fields("Classifier") or [] if each.startswith("License :: ")]
    if classified:
        return ", ".join(classified)
    return str((fields("License") or ["unknown"])[0]).splitlines()[0][:60]
