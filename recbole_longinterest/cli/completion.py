"""The command `recbole-li completion`: print a script that completes commands, options and names in a shell.

The script is generated once from the parsers. It starts no Python process when the user presses Tab.
"""

import argparse
import importlib.util
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.cli.outcome import Exact
from recbole_longinterest.common.resources import BUNDLED, DATASET_CONFIGS, resource

SHELLS = ("bash", "zsh", "fish")
WITH_SETTINGS = ("run", "encode", "adapt", "columns", "graph", "tune", "compare")
"""Commands that take any setting as ``--key=value``."""


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        names: its names, with dashes.
        meaning: its help, one line.
        takes: whether it takes a value.
        values: known values; empty for files, numbers and the like.
    """

    names: Sequence[str]
    meaning: str
    takes: bool
    values: Sequence[str]


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "completion",
        "print a script that completes commands in your shell",
        "Print a script that completes commands, options, models and data sets. For bash: recbole-li completion bash > "
        "~/.local/share/bash-completion/completions/recbole-li",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(all_commands=commands)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Make the script.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The script.
    """
    refuse_settings("completion", settings)
    summaries, commands = _commands(args.all_commands)
    return Exact(_fish(summaries, commands) if args.shell == "fish" else _bash(commands, zsh=args.shell == "zsh"))


def _commands(known: Commands) -> tuple[dict[str, str], dict[str, list[Option]]]:
    """Return the summaries of the commands and their options; each ``prepare SOURCE`` counts as a command."""
    from recbole_longinterest.cli.prepare import source_parser
    from recbole_longinterest.prepare.sources.registry import known_sources  # saves start-up time

    summaries = {choice.dest: choice.help or "" for choice in known._choices_actions}
    found = {name: _options(name, each) for name, each in known.choices.items()}
    for name, source in known_sources().items():
        found[f"prepare {name}"] = _options(f"prepare {name}", source_parser(name, source))
    return summaries, found


def _options(command: str, parser: argparse.ArgumentParser) -> list[Option]:
    """Return the options of a parser, plus the settings of LongInterest if the command takes settings."""
    options = [_option(each) for each in parser._actions if each.option_strings]
    if command in WITH_SETTINGS:
        lines = resource("properties", "LongInterest.yaml").read_text(encoding="utf-8").splitlines()
        for found in filter(None, (re.fullmatch(r"(\w+):.*?(?:# \(\w+\) (.*))?", line) for line in lines)):
            options.append(Option([f"--{found[1]}="], found[2] or "", False, []))
    return options


def _option(action: argparse.Action) -> Option:
    values: Sequence[str] = [str(each) for each in action.choices or ()]
    if action.dest in ("model", "models", "once"):
        values = _models()
    elif action.dest in ("dataset", "datasets"):
        values = sorted({BUNDLED, *(file.stem for file in resource(DATASET_CONFIGS, "").glob("*.yaml"))})
    meaning = (action.help or "") % {**vars(action), "prog": "recbole-li"}
    return Option(action.option_strings, meaning, action.nargs != 0, values)


def _models() -> list[str]:
    """Return the names of the plugin's models and RecBole's models without importing RecBole."""
    from recbole_longinterest.plugin.models import known_models

    found = set(known_models())
    recbole = importlib.util.find_spec("recbole")
    for place in (recbole.submodule_search_locations or []) if recbole else []:
        found |= {file.stem for file in Path(place, "properties", "model").glob("*.yaml")}
    return sorted(found, key=str.lower)


def _bash(commands: dict[str, list[Option]], zsh: bool) -> str:
    """Return the script for bash. It also works in zsh, which loads `bashcompinit` first."""
    values, words = [], []
    for name, options in commands.items():
        for option in options:
            if option.takes:
                patterns = "|".join(f'"{name} {each}"' for each in option.names)
                values.append(f"    {patterns}) words={shlex.quote(' '.join(option.values))}; names=1 ;;")
        said = " ".join(each for option in options for each in option.names if each.startswith("--"))
        words.append(f"    {shlex.quote(name)}) words={shlex.quote(said)} ;;")
    sources = " ".join(name.split()[1] for name in commands if " " in name)
    first = " ".join([*(name for name in commands if " " not in name), "--help", "--version"])
    head = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""# Completion of recbole-li, made by: recbole-li completion {"zsh" if zsh else "bash"}
{head}_recbole_li() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words= names=
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W {shlex.quote(first)} -- "$cur"))
    return
  fi
  if [[ $command == completion && $COMP_CWORD -eq 2 ]]; then
    COMPREPLY=($(compgen -W {shlex.quote(" ".join(SHELLS))} -- "$cur"))
    return
  fi
  if [[ $command == prepare ]]; then
    if [[ $COMP_CWORD -eq 2 ]]; then
      COMPREPLY=($(compgen -W {shlex.quote(sources)} -- "$cur"))
      return
    fi
    command="prepare ${{COMP_WORDS[2]}}"
  fi
  case "$command $prev" in
{chr(10).join(values)}
  esac
  if [[ -z $names && $cur == -* ]]; then
    case "$command" in
{chr(10).join(f"  {line}" for line in words)}
    esac
  fi
  [[ -n $words ]] || return 0
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ -n $BASH_VERSION && ${{COMPREPLY[0]}} == *= ]]; then compopt -o nospace; fi
}}
complete -o default -F _recbole_li recbole-li
"""


def _fish(summaries: dict[str, str], commands: dict[str, list[Option]]) -> str:
    """Return the script for fish: a line for each command and option."""
    lines = [
        "# Completion of recbole-li, made by: recbole-li completion fish",
        "complete -c recbole-li -n __fish_use_subcommand -l version -d 'show the version and exit'",
    ]
    for name, summary in summaries.items():
        lines.append(f"complete -c recbole-li -f -n __fish_use_subcommand -a {name} -d {_quoted(summary)}")
    shells = " ".join(SHELLS)
    lines.append(f"complete -c recbole-li -f -n '__fish_seen_subcommand_from completion' -a '{shells}'")
    sources = " ".join(name.split()[1] for name in commands if " " in name)
    none_yet = f"__fish_seen_subcommand_from prepare; and not __fish_seen_subcommand_from {sources}"
    lines.append(f"complete -c recbole-li -f -n {_quoted(none_yet)} -a {_quoted(sources)}")
    for name, options in commands.items():
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in name.split())
        for option in options:
            names = " ".join(f"-l {each[2:]}" if each.startswith("--") else f"-s {each[1:]}" for each in option.names)
            value = (" -x -a " + _quoted(" ".join(option.values)) if option.values else " -r") if option.takes else ""
            lines.append(f"complete -c recbole-li -n {_quoted(seen)} {names}{value} -d {_quoted(option.meaning)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Quote a text for fish, in single quotes."""
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"
