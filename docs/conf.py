"""Sphinx settings of the site: `uv run --group docs sphinx-build -W docs docs/_build`."""

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import generate  # noqa: E402
import notebooks  # noqa: E402

from recbole_longinterest.common.version import __version__  # noqa: E402

project = "recbole-longinterest"
author = "The recbole-longinterest authors"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "drawing",
    "notebooks",
]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "jupyter_execute"]
nitpicky = False

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the notebooks, whose models are too small for more
# Each notebook of examples/ runs in its own folder. To skip running them: -D nb_execution_mode=off.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # seconds per cell, enough for a busy machine
nb_merge_streams = True

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = "recbole-longinterest"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_end": ["theme-switcher"],
    "pygments_light_style": "default",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {"index": [], "glossary": []}
copybutton_exclude = ".linenos, .gp, .go"

smartquotes = False  # they would turn the two hyphens of --key into a dash

generate.write_all(Path(__file__).parent)
notebooks.copy_all(Path(__file__).parent)

LINKS = {
    "](docs/": "](/",
    "](ARCHITECTURE.md": "](/contributing/architecture.md",
    "](CODE_OF_CONDUCT.md": "](/contributing/code-of-conduct.md",
    "](SECURITY.md": "](/contributing/security.md",
    "[licence](LICENSE)": "licence",
}
"""Links in files of the project's root -> the same links on the site."""


def on_the_site(app: Sphinx, file: Path, docname: str, content: list[str]) -> None:
    """Convert the links of an included file of the project's root."""
    for on_disk, here in LINKS.items():
        content[0] = content[0].replace(on_disk, here)


def with_dashes(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Replace the two hyphens between a parameter and its meaning by a dash."""
    for text in list(tree.findall(nodes.Text)):
        if text.astext() == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def further_guides(app: Sphinx, docname: str, source: list[str]) -> None:
    """List pages of docs/ that are in no table of contents under Guides, so that readers find new pages."""
    if docname != "guides":
        return
    here = Path(__file__).parent
    named = {"index", "guides", "examples", "glossary", "patches", "data-terms"}
    for file in ("index", "start", "guides"):
        named.update(re.findall(r"^[\w/-]+$", (here / f"{file}.md").read_text(encoding="utf-8"), re.MULTILINE))
    further = sorted(file.stem for file in here.glob("*.md") if file.stem not in named)
    if further:
        table = "\n".join(["## More", "", "```{toctree}", ":maxdepth: 1", "", *further, "```"])
        source[0] = source[0].replace("% Further pages of docs/ are listed here by conf.py.", table)


def links_to_notebooks(app: Sphinx, docname: str, source: list[str]) -> None:
    """Convert links to examples/ into links to their copies on the site."""
    source[0] = re.sub(r"\]\((?:\.\./)+examples/", "](/examples/", source[0])


def setup(app: Sphinx) -> None:
    """Connect to Sphinx, which calls this."""
    app.connect("source-read", links_to_notebooks)
    app.connect("source-read", further_guides)
    app.connect("include-read", on_the_site)
    app.connect("doctree-resolved", with_dashes)
