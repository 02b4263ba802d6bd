"""Add the notebooks of examples/ to the site: copy them into docs/, and check the outputs after MyST-NB has run them.

`conf.py` calls `copy_all` before Sphinx reads the sources. The copies go to docs/examples/, which is not committed.
"""

import json
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

PROJECT = Path(__file__).resolve().parent.parent
DOWNLOAD = "\nDownload this page as a notebook with its outputs: {{nb-download}}`{name}.ipynb`.\n"


def copy_all(docs: Path) -> None:
    """Copy the notebooks. Files that would not change are not written, so that Sphinx does not run them again."""
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
    """Adapt a notebook's links to the site, and add a link to download it with outputs."""
    text = file.read_text(encoding="utf-8").replace("](../docs/", "](../")
    head, title, rest = text.partition("\n# ")
    line, _, rest = rest.partition("\n")
    return f"{head}{title}{line}\n{DOWNLOAD.format(name=file.stem)}{rest}"


def check_outputs(app: Sphinx, failure: Exception | None) -> None:
    """Warn of outputs that contain paths or names of this machine."""
    if failure:
        return
    logger = logging.getLogger(__name__)
    for page, about in sorted(getattr(app.env, "nb_metadata", {}).items()):
        if run := about.get("exec_data"):
            logger.info("%s ran for %.1f s", page, run["runtime"] or 0)
    names = (str(PROJECT), str(Path.home()), sys.prefix, tempfile.gettempdir(), platform.node())
    private = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names if len(name) > 1))
    for file in sorted((Path(app.outdir).parent / "jupyter_execute" / "examples").glob("*.ipynb")):
        for text in _outputs(json.loads(file.read_text(encoding="utf-8"))):
            for line in filter(private.search, text.splitlines()):
                logger.warning("%s: an output names this machine: %s", file.stem, line[:300])


def _outputs(notebook: dict) -> Iterator[str]:
    """Yield all texts in the outputs of a notebook."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            texts = [content for kind, content in output.get("data", {}).items() if kind.startswith("text/")]
            for content in (output.get("text", ""), *texts):
                yield "".join(content)  # one text or a list of lines


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx, which calls this."""
    app.connect("build-finished", check_outputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
