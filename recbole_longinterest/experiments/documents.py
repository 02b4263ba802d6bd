"""A report as a list of blocks, written as Markdown or as one HTML page."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 2rem auto; padding: 0 1rem;
  max-width: 76rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .6rem; }
h2 { border-top: 1px solid #ddd; padding-top: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #e4e4e4; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #888; }
th:first-child, td:first-child { text-align: left; }
tr.best td { font-weight: 600; background: #f1f6fa; }
img { max-width: 100%; height: auto; margin: 1rem 0; }
li { margin: .2rem 0; }
code { background: #f4f4f4; padding: .1rem .25rem; overflow-wrap: anywhere; }
"""


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
    """A table; the row that ``best`` names is marked."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: str | None = None


@dataclass(frozen=True)
class Image:
    """A picture, beside the report; HTML holds it."""

    file: Path
    text: str


Block = Heading | Text | Points | Table | Image


def markdown(blocks: Sequence[Block]) -> str:
    """The blocks as Markdown."""
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
    """The blocks as one HTML file that needs no other."""
    parts = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"<h{block.level}>{html.escape(block.text)}</h{block.level}>")
        elif isinstance(block, Text):
            parts.append(f"<p>{html.escape(block.text)}</p>")
        elif isinstance(block, Points):
            parts.append("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in block.lines) + "</ul>")
        elif isinstance(block, Image):
            data = base64.b64encode(block.file.read_bytes()).decode()
            parts.append(f'<img alt="{html.escape(block.text)}" src="data:image/png;base64,{data}">')
        else:
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.head)
            rows = "".join(
                ('<tr class="best">' if row[0] == block.best else "<tr>")
                + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
                + "</tr>"
                for row in block.rows
            )
            parts.append(f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>')
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def latex(table: Table, caption: str, label: str) -> str:
    """A table for a paper, with booktabs."""

    def clean(text: str) -> str:
        for character in "&%#_$":
            text = text.replace(character, f"\\{character}")
        return text.replace("<", "$<$").replace(">", "$>$")

    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{clean(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
        r"\toprule",
        " & ".join(map(clean, table.head)) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        texts = [clean(cell) for cell in row]
        if row[0] == table.best:
            texts = [rf"\textbf{{{text}}}" if text else "" for text in texts]
        lines.append(" & ".join(texts) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"
