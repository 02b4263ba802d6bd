"""The documentation says what the code does: its commands parse, its Python runs, its links lead somewhere."""

import argparse
import ast
import doctest
import importlib
import inspect
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import recbole_longinterest
from recbole_longinterest import Event, InterestState, Recommender
from recbole_longinterest.cli.main import COMMANDS, make_parser
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.strategies import Shop
from recbole_longinterest.serving.strategies.bandit import Bandit
from recbole_longinterest.serving.visitor import Visitor
from tests.conftest import PROJECT
from tests.served import WITH_MEMORY, random_served

if not (PROJECT / "docs" / "conf.py").is_file():
    pytest.skip("not a checkout", allow_module_level=True)

NOTEBOOKS = sorted((PROJECT / "examples").glob("*"))
PAGES = sorted(
    file
    for file in (*PROJECT.glob("*.md"), *NOTEBOOKS, *(PROJECT / "docs").rglob("*.md"))
    if not {"_build", "generated"} & set(file.parts) and file.parent != PROJECT / "docs" / "examples"  # copies
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
PROGRAM = re.compile(r"(?:\w+=\S+ )*(?:uv run )?recbole-li ")
named = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(PROJECT)) for page in PAGES])


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The blocks of code of a page that are in one of the languages."""
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield text


def commands(page: Path) -> Iterator[list[str]]:
    """The words behind `recbole-li` of every command in a block of a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        line = line.removeprefix("    ")
        if found := PROGRAM.match(line):
            words = shlex.split(line[found.end() :], comments=True)
            end = next((place for place, word in enumerate(words) if word in (">", "|", "&&")), len(words))
            yield [word for word in words[:end] if word != "..."]


def test_readme_is_a_page() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@named
def test_commands_have_these_arguments(page: Path) -> None:
    for words in commands(page):
        if words[0] == "COMMAND":
            continue
        try:
            args, settings = make_parser().parse_known_args(words)
        except SystemExit as stop:
            assert stop.code in (0, None), words
            continue
        assert all(re.match(r"--\w+=", setting) for setting in settings), (words, settings)
        if args.command == "prepare":
            from recbole_longinterest.cli.prepare import _parse

            _parse(args.source, args.rest)


@named
def test_python_names_what_there_is(page: Path) -> None:
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("recbole_longinterest"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@named
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target and "/generated/" not in f"/{target}":
            assert (page.parent / target).is_file(), target


def test_the_notebooks_of_the_site() -> None:
    index = (PROJECT / "docs" / "examples.md").read_text(encoding="utf-8")
    assert re.findall(r"^examples/(.+)$", index, re.M) == [file.stem for file in NOTEBOOKS]
    assert {file.suffix for file in NOTEBOOKS} == {".md"}  # without outputs, so without stored errors: they are run
    config = (PROJECT / "docs" / "conf.py").read_text(encoding="utf-8")
    assert 'nb_execution_mode = "force"' in config and "nb_execution_raise_on_error = True" in config


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[file.stem for file in NOTEBOOKS])
def test_a_notebook_opens_in_jupyter_and_describes_its_pictures(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    assert text.startswith("---\njupytext:\n") and "\n  name: python3\n---\n\n# " in text
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, re.M | re.S)
    assert len(cells) == text.count("{code-cell}")
    for cell in cells:
        assert "raises-exception" not in cell and "skip-execution" not in cell
        assert ("\nImage(" in cell or "plt.tight_layout()" in cell) == ("\n    alt: " in cell), cell


def test_every_command_is_in_a_guide() -> None:
    said = {words[0] for page in PAGES for words in commands(page) if words}
    assert set(COMMANDS) - said <= {"doctor"}  # which stands in a sentence


def test_the_python_of_serving_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(random_served(WITH_MEMORY), tmp_path / "model")
    import pandas as pd

    table = pd.DataFrame({"user_id": ["a"], "item_id": ["i5"], "timestamp": [880_000_000.0]})
    text = next(each for each in blocks(PROJECT / "docs" / "serving.md", "python") if "recommend_many" in each)
    for token in re.findall(r'"(\d+)"', text):  # the items of ml-100k, as tokens of this model
        text = text.replace(f'"{token}"', f'"i{token}"')
    known = {"table_of_events": table}
    exec(compile(text, "docs/serving.md", "exec"), known)
    assert isinstance(known["kept"], bytes)


def program_of(thing: object) -> str:
    """The examples of a docstring as a program."""
    return "".join(each.source for each in doctest.DocTestParser().get_examples(inspect.getdoc(thing) or ""))


def test_the_examples_of_serving_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(random_served(WITH_MEMORY), tmp_path / "exported")
    (tmp_path / "shop.yaml").write_text("deny: []\n")
    known = {each.__name__: each for each in (Recommender, Event, InterestState, Shop, Visitor, Bandit)}
    for thing in (Recommender, Recommender.observe, InterestState, Shop, Bandit):
        program = program_of(thing)
        assert program, thing
        for token in re.findall(r'"(\d+)"', program):  # the items of ml-100k, as tokens of this model
            program = program.replace(f'"{token}"', f'"i{int(token) % 5 + 1}"')
        exec(compile(program, str(thing), "exec"), known)
    assert isinstance(known["kept"], bytes)


@pytest.mark.parametrize("name", ["compare", "tune"])
def test_the_examples_of_experiments_have_these_arguments(name: str) -> None:
    function = getattr(recbole_longinterest, name)
    call = next(node for node in ast.walk(ast.parse(program_of(function))) if isinstance(node, ast.Call))
    inspect.signature(function).bind(*call.args, **{str(each.arg): each.value for each in call.keywords})


def test_the_number_of_patches_for_safety() -> None:
    from recbole_longinterest.plugin.fixes import registry

    names = {(each.name, each.kind) for each in registry.patches(everything=True)}
    safety = sum(kind == "safety" for _, kind in names)
    assert f"{safety} of {len(names)} patches of RecBole are for safety" in (PROJECT / "README.md").read_text()


def test_drawings_are_what_the_script_draws() -> None:
    script = runpy.run_path(str(PROJECT / "docs" / "drawings.py"))
    for name, draw in script["DRAWINGS"].items():
        for theme, colours in script["THEMES"].items():
            file = PROJECT / "docs" / "drawings" / f"{name}-{theme}.svg"
            assert file.read_text(encoding="utf-8") == draw(colours), f"run: python docs/drawings.py ({file.name})"


def test_the_citation_has_the_version() -> None:
    project = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.M)
    assert version and f"\nversion: {version[1]}\n" in (PROJECT / "CITATION.cff").read_text(encoding="utf-8")


def test_a_page_of_commands_has_every_option_of_every_command() -> None:
    generate = runpy.run_path(str(PROJECT / "docs" / "generate.py"))
    page = generate["commands"]()
    for name, parser in generate["_subparsers"](make_parser()).items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for action in parser._actions:
            if action.help != argparse.SUPPRESS and "--help" not in action.option_strings:
                assert all(f"`{option}" in section for option in action.option_strings), (name, action)
    assert str(PROJECT) not in page


def test_a_page_of_options_has_every_key() -> None:
    generate = runpy.run_path(str(PROJECT / "docs" / "generate.py"))
    page = generate["options"]()
    for file in (PROJECT / "properties").glob("*.yaml"):
        section = page.partition(f"\n## {file.stem}\n")[2].partition("\n## ")[0]
        for key in re.findall(r"^(\w+):", file.read_text(encoding="utf-8"), re.M):
            assert f"| `{key}` |" in section, (file.name, key)
    assert "| `load_col` | `{inter: [user_id, item_id, rating, timestamp, behavior]}` | dict |" in page
