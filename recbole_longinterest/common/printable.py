r"""Text that people did not write, made safe for those who read it: no control characters, no formulas.

Tokens, titles, user ids and file names may hold anything: line ends that forge lines of a log, escape codes that a
terminal obeys, marks that turn the direction of a line. Here they are written out, as ``\n``, ``\x1b`` or ``\u202e``.
"""

import re

# Control characters (line ends among them), separators of lines and paragraphs, marks that embed or override the
# direction, notes between lines, and halves of characters, which cannot be written anywhere.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]")
IN_LINES = re.compile(CONTROL.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))  # but line feeds and tabs
COLOURED = re.compile(f"(\x1b\\[[0-9;]*m)|{IN_LINES.pattern}")
FORMULA = re.compile("\\s*[=+@\uff1d\uff0b\uff20\uff0d-]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(value: object) -> str:
    """A value as one line of text, its control characters written out."""
    return CONTROL.sub(_written_out, str(value))


def printable_lines(text: str) -> str:
    """A text of several lines; line feeds and tabs stay, other control characters are written out."""
    return IN_LINES.sub(_written_out, text)


def printable_log(text: str) -> str:
    """A text of a log, whose colours stay, too; RecBole's own lines have some."""
    return COLOURED.sub(lambda found: found[1] or _written_out(found), text)


def printable_json(text: str) -> str:
    """JSON with its control characters written as JSON's own escapes, which means the same."""
    return IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable_cell(value: object) -> object:
    """A cell of a table for people: text without control characters, which no spreadsheet takes for a formula.

    Args:
        value: numbers and texts that are numbers stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def _written_out(found: "re.Match[str]") -> str:
    code = ord(found[0])
    return SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
