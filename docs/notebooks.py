"""The notebooks of examples/ on the site: copied below docs/, run by MyST-NB, and their outputs checked.

`conf.py` calls `copy_all` before Sphinx reads the sources. The copies go to docs/examples/, which is not committed.
"""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

PROJECT = Path(__file__).resolve().parent.parent
DOWNLOAD = "\nDownload this page as a notebook with its outputs: {{nb-download}}`{name}.ipynb`.\n"


def copy_all(docs: Path) -> None:
    """Copy the notebooks; one that would not change keeps its time, so that Sphinx does not run it again."""
    folder = docs / "examples"
    folder.mkdir(exist_ok=True)
    pages = {file.name: _on_the_site(file) for file in (docs.parent / "examples").glob("*.md")}
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def _on_the_site(file: Path) -> str:
    """A notebook with links that hold on the site, and a link to itself with outputs."""
    text = file.read_text(encoding="utf-8").replace("](../docs/", "](../")
    head, title, rest = text.partition("\n# ")
    line, _, rest = rest.partition("\n")
    return f"{head}{title}{line}\n{DOWNLOAD.format(name=file.stem)}{rest}"


def check_outputs(app: Sphinx, failure: Exception | None) -> None:
    """Warn of outputs that name this machine: a reader has other folders."""
    if failure:
        return
    logger = logging.getLogger(__name__)
    for page, about in sorted(getattr(app.env, "nb_metadata", {}).items()):
        if run := about.get("exec_data"):
            logger.info("%s ran for %.1f s", page, run["runtime"] or 0)
    private = {str(PROJECT), str(Path.home()), sys.prefix, tempfile.gettempdir() + os.sep, platform.node()}
    for file in sorted((Path(app.outdir).parent / "jupyter_execute" / "examples").glob("*.ipynb")):
        for text in _outputs(json.loads(file.read_text(encoding="utf-8"))):
            for word in private:
                if word in text:
                    line = next(each for each in text.splitlines() if word in each)
                    logger.warning("%s: an output names this machine (%s): %s", file.stem, word, line[:300])


def _outputs(notebook: dict) -> Iterator[str]:
    """All texts of the outputs of a notebook."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            for content in (output.get("text"), *output.get("data", {}).values()):
                if isinstance(content, (str, list)):
                    yield content if isinstance(content, str) else "".join(content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", check_outputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
