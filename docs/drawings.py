"""Draw the site's pictures as SVG: `python docs/drawings.py` writes docs/drawings/NAME-light.svg and NAME-dark.svg.

The files are committed, because README shows one of them. A test compares them with the output of this script.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "drawings"
THEMES: dict[str, dict[str, str]] = {
    "light": {
        **{"text": "#1f2a37", "soft": "#5b6776", "line": "#7a8797", "plain": "#f3f5f8", "blue": "#dcebfb"},
        **{"green": "#dff3e4", "amber": "#fdefcf", "rose": "#fbe0e3", "edge": "#b6c2cf"},
    },
    "dark": {
        **{"text": "#e6ebf1", "soft": "#a9b4c1", "line": "#8793a1", "plain": "#2a313a", "blue": "#1f3a57"},
        **{"green": "#1f4630", "amber": "#57431a", "rose": "#572a33", "edge": "#566271"},
    },
}


@dataclass
class Drawing:
    """An SVG picture, built element by element. All sizes are in units of its view box.

    Attributes:
        width: of the picture.
        height: of the picture.
        colours: by role, one of :data:`THEMES`.
        parts: SVG elements.
    """

    width: int
    height: int
    colours: dict[str, str]
    parts: list[str] = field(default_factory=list)

    def box(
        self, x: float, y: float, width: float, height: float, text: str, fill: str = "plain", dashed: bool = False
    ) -> None:
        """Draw a rounded box with centred text; a line end in the text starts a new line."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{self.colours[fill]}" '
            f'stroke="{self.colours["edge"]}"{dash}/>'
        )
        lines = text.split("\n")
        for number, line in enumerate(lines):
            below = y + height / 2 + 5 + (number - (len(lines) - 1) / 2) * 18
            self.text(x + width / 2, below, line, soft=number > 0)

    def text(
        self, x: float, y: float, text: str, soft: bool = False, anchor: str = "middle", bold: bool = False
    ) -> None:
        """Draw a line of text; ``y`` is its baseline."""
        size, colour = (13, self.colours["soft"]) if soft else (15, self.colours["text"])
        weight = ' font-weight="600"' if bold else ""
        style = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}'
        self.parts.append(f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>')

    def arrow(self, *points: tuple[float, float], head: bool = True) -> None:
        """Draw a line through the points, with an arrow head at the last one unless ``head`` is False."""
        path = "M" + " L".join(f"{x} {y}" for x, y in points)
        end = ' marker-end="url(#head)"' if head else ""
        self.parts.append(f'<path d="{path}" fill="none" stroke="{self.colours["line"]}" stroke-width="1.6"{end}/>')

    def svg(self, title: str) -> str:
        """Render the whole SVG file."""
        head = (
            '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0 L10 5 L0 10 z" fill="{self.colours["line"]}"/></marker>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="system-ui, -apple-system, Segoe UI, Roboto, sans-serif" role="img">\n'
            f"<title>{escape(title)}</title>\n<defs>{head}</defs>\n" + "\n".join(self.parts) + "\n</svg>\n"
        )


def model(colours: dict[str, str]) -> str:
    """Draw the model, from the data of an event to the score of every item."""
    picture = Drawing(800, 400, colours)
    picture.box(20, 30, 130, 56, "titles, genres\nof the items", "blue")
    picture.box(190, 30, 130, 56, "text encoder\nBERT, whitened")
    picture.box(20, 116, 130, 56, "item IDs", "blue")
    picture.box(360, 66, 140, 70, "item vectors\nID + text")
    picture.box(20, 262, 130, 76, "ratings\nbehaviours, times,\nyour own columns", "blue")
    picture.box(190, 272, 130, 56, "levels\nas embeddings")
    picture.box(190, 176, 130, 56, "fusion\nof item and levels")
    picture.box(360, 176, 140, 56, "LSTM\nevent by event")
    picture.box(360, 272, 140, 56, "attention\nall events so far")
    picture.box(550, 222, 110, 56, "interest\nof the user", "green")
    picture.box(550, 73, 110, 56, "dot product")
    picture.box(690, 66, 94, 70, "score of\nevery item", "green")
    picture.box(594, 322, 190, 56, "memory of transitions\ncounts of next items", "amber")
    picture.arrow((150, 58), (190, 58))
    picture.arrow((320, 58), (340, 58), (340, 92), (360, 92))
    picture.arrow((150, 144), (340, 144), (340, 112), (360, 112))
    picture.arrow((430, 136), (430, 156), (255, 156), (255, 176))
    picture.arrow((150, 300), (190, 300))
    picture.arrow((255, 272), (255, 232))
    picture.arrow((320, 204), (360, 204))
    picture.arrow((430, 232), (430, 272))
    picture.arrow((500, 204), (525, 204), (525, 240), (550, 240))
    picture.arrow((500, 300), (525, 300), (525, 260), (550, 260))
    picture.arrow((605, 222), (605, 129))
    picture.arrow((500, 101), (550, 101))
    picture.arrow((660, 101), (690, 101))
    picture.arrow((737, 322), (737, 136))
    picture.text(745, 200, "+", anchor="start")
    return picture.svg("The LongInterest model")


def one_pass(colours: dict[str, str]) -> str:
    """Draw the same four targets in prefix rows and in one pass."""
    picture = Drawing(800, 330, colours)
    items = "abcde"
    picture.text(20, 32, "Prefix rows: a copy for every target", anchor="start", bold=True)
    for row in range(4):
        for place in range(row + 1):
            picture.box(20 + 44 * place, 50 + 42 * row, 38, 34, items[place], "blue")
        picture.arrow((20 + 44 * (row + 1), 67 + 42 * row), (236, 67 + 42 * row))
        picture.box(240, 50 + 42 * row, 38, 34, items[row + 1], "green")
    picture.text(150, 244, "10 events read for 4 targets,", soft=True)
    picture.text(150, 262, "n (n + 1) / 2 for n targets", soft=True)
    picture.text(430, 32, "One pass: a target at every position", anchor="start", bold=True)
    for place in range(4):
        x = 430 + 84 * place
        picture.box(x, 176, 38, 34, items[place], "blue")
        picture.box(x - 10, 112, 58, 34, f"V{place + 1}")
        picture.box(x, 50, 38, 34, items[place + 1], "green")
        picture.arrow((x + 19, 176), (x + 19, 146))
        picture.arrow((x + 19, 112), (x + 19, 84))
        if place:
            picture.arrow((x - 36, 129), (x - 10, 129))
    picture.text(575, 244, "4 events read for 4 targets. Vt uses the events up to t,", soft=True)
    picture.text(575, 262, "so loss and gradients equal those of prefix rows", soft=True)
    picture.box(430, 284, 26, 22, "", "blue")
    picture.text(466, 300, "event read", soft=True, anchor="start")
    picture.box(620, 284, 26, 22, "", "green")
    picture.text(656, 300, "target", soft=True, anchor="start")
    return picture.svg("Prefix rows and one pass")


def order(colours: dict[str, str]) -> str:
    """Draw how rounded times and ties change the order of a history."""
    picture = Drawing(800, 350, colours)
    rows = [
        ("In the data", "seconds after 880,000,000", ["a +0", "d +10", "b +20", "c +20", "e +30"], "blue"),
        ("RecBole", "float32: all times equal, order of the file", ["a", "b", "c", "d", "e"], "rose"),
        ("exact_order", "float64: only b and c have equal times", ["a", "d", "b", "c", "e"], "green"),
        ("tie_order: random", "tie_seed 0", ["a", "d", "c", "b", "e"], "green"),
        ("tie_order: random", "tie_seed 1", ["a", "d", "b", "c", "e"], "green"),
    ]
    for number, (name, note, events, fill) in enumerate(rows):
        y = 24 + 64 * number
        picture.text(20, y + 18, name, anchor="start", bold=True)
        picture.text(20, y + 36, note, anchor="start", soft=True)
        for place, event in enumerate(events):
            tied = number and event in ("b", "c") and fill == "green"
            picture.box(300 + 98 * place, y, 84, 42, event, "amber" if tied else fill)
            if place:
                picture.arrow((286 + 98 * place, y + 21), (300 + 98 * place, y + 21))
    return picture.svg("Order of a history")


def protocols(colours: dict[str, str]) -> str:
    """Draw the ranks of the same scores in the two protocols."""
    picture = Drawing(800, 300, colours)
    picture.text(20, 34, "Scores of one user", anchor="start", bold=True)
    scores = [("p", ".9", True), ("q", ".8", False), ("r", ".7", True), ("T", ".6", False), ("s", ".5", False)]
    for place, (item, score, seen) in enumerate(scores):
        picture.box(
            240 + 110 * place, 14, 96, 46, f"{item}  {score}", "rose" if seen else "green" if item == "T" else "plain"
        )
    picture.text(20, 124, "Native", anchor="start", bold=True)
    picture.text(20, 142, "all items, as in RecBole", anchor="start", soft=True)
    for place, (item, _, seen) in enumerate(scores):
        picture.box(
            240 + 110 * place,
            104,
            96,
            46,
            f"{place + 1}. {item}",
            "rose" if seen else "green" if item == "T" else "plain",
        )
    picture.text(20, 214, "Seen-masked", anchor="start", bold=True)
    picture.text(20, 232, "without items the user has had", anchor="start", soft=True)
    place = 0
    for column, (item, _, seen) in enumerate(scores):
        place += not seen
        shown = "left out" if seen else f"{place}. {item}"
        picture.box(240 + 110 * column, 194, 96, 46, shown, "plain" if seen or item != "T" else "green", dashed=seen)
    picture.box(240, 264, 26, 22, "", "rose")
    picture.text(276, 280, "seen before", soft=True, anchor="start")
    picture.box(420, 264, 26, 22, "", "green")
    picture.text(456, 280, "target: rank 4 and rank 2", soft=True, anchor="start")
    return picture.svg("The native and the seen-masked protocol")


def state(colours: dict[str, str]) -> str:
    """Draw a user's state before and after an event, and the scores from the state and the memory of transitions."""
    picture = Drawing(800, 330, colours)
    picture.box(
        20,
        30,
        200,
        150,
        "state of a user\nLSTM: h and c\nattention: maximum,\ndenominator, numerator\nlast ten items",
        "blue",
    )
    picture.box(290, 75, 160, 60, "one event\nconstant time", "plain")
    picture.box(520, 30, 200, 150, "state after it\nsame size:\n2,410 bytes", "blue")
    picture.arrow((220, 105), (290, 105))
    picture.arrow((450, 105), (520, 105))
    picture.box(520, 240, 200, 62, "scores of all items\ninterest + memory", "green")
    picture.arrow((620, 180), (620, 240))
    picture.box(
        20,
        232,
        300,
        78,
        "memory of transitions\ncounted once in the training data;\n100 followers of each item",
        "amber",
    )
    picture.arrow((320, 271), (520, 271))
    picture.text(420, 260, "followers of the last ten", soft=True)
    return picture.svg("A user's state and the memory of transitions")


DRAWINGS: dict[str, Callable[[dict[str, str]], str]] = {
    "model": model,
    "one-pass": one_pass,
    "order": order,
    "protocols": protocols,
    "state": state,
}


def main() -> None:
    """Write every drawing for both themes."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        for theme, colours in THEMES.items():
            (FOLDER / f"{name}-{theme}.svg").write_text(draw(colours), encoding="utf-8")


if __name__ == "__main__":
    main()
