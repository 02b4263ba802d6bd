"""A report as a list of blocks, written as Markdown or as one HTML page."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recbole_longinterest.common.html_pages import render_page


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; the row named ``best`` is bold, and rows with their index in ``faint`` are grey."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: str | None = None
    faint: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Image:
    """An image file in the report's folder; the HTML page embeds it."""

    file: Path
    text: str

    def content(self) -> str:
        """Content of the file in base64."""
        return base64.b64encode(self.file.read_bytes()).decode()


Block = Heading | Text | Points | Table | Image


def markdown(blocks: Sequence[Block]) -> str:
    """Render blocks as Markdown."""
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append("#" * block.level + " " + block.text)
        elif isinstance(block, Text):
            parts.append(block.text)
        elif isinstance(block, Points):
            parts.append("\n".join(f"- {line}" for line in block.lines))
        elif isinstance(block, Image):
            parts.append(f"![{block.text}]({block.file.name})")
        else:
            rows = [[f"**{cell}**" if cell and row[0] == block.best else cell for cell in row] for row in block.rows]
            lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (block.head, *rows)]
            lines.insert(1, "|---|" + "---:|" * (len(block.head) - 1))
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def page(blocks: Sequence[Block], title: str) -> str:
    """Render blocks as one self-contained HTML file with a table of contents."""
    named, contents, taken = [], [], set[str]()
    for block in blocks:
        anchor = ""
        if isinstance(block, Heading):
            anchor = re.sub(r"[^a-z0-9]+", "-", block.text.lower()).strip("-") or "part"
            while anchor in taken:
                anchor += "-"
            taken.add(anchor)
            if block.level > 1:
                contents.append((anchor, block))
        named.append((type(block).__name__, block, anchor))
    values = {"title": title, "blocks": named, "contents": contents}
    return render_page("recbole_longinterest.experiments", "report.html.j2", values)


def latex_text(text: str) -> str:
    """Escape the special characters of LaTeX."""
    for character in "&%#_$":
        text = text.replace(character, f"\\{character}")
    return text.replace("<", "$<$").replace(">", "$>$")
