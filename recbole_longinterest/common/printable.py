r"""Make untrusted text safe to display: escape control characters and spreadsheet formulas.

Tokens, titles, user ids and file names may hold anything: line ends that forge log lines, terminal escape codes, marks
that change the text direction. They are shown escaped, as ``\n``, ``\x1b`` or ``\u202e``.
"""

import re

# Control characters (including line ends), line and paragraph separators, marks that embed or override the text
# direction, interlinear annotations, and lone surrogates, which cannot be encoded.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]")
IN_LINES = re.compile(CONTROL.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))  # except line feeds and tabs
COLOURED = re.compile(f"(\x1b\\[[0-9;]*m)|{IN_LINES.pattern}")
FORMULA = re.compile("\\s*[=+@\uff1d\uff0b\uff20\uff0d-]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(value: object) -> str:
    """Return a value as one line of text, with control characters escaped."""
    return CONTROL.sub(_written_out, str(value))


def printable_lines(text: str) -> str:
    """Escape the control characters of a text, except line feeds and tabs."""
    return IN_LINES.sub(_written_out, text)


def printable_log(text: str) -> str:
    """Like :func:`printable_lines`, but keep colour codes, which RecBole's log lines have."""
    return COLOURED.sub(lambda found: found[1] or _written_out(found), text)


def printable_json(text: str) -> str:
    """Replace the control characters of a JSON text by JSON escapes; its value stays the same."""
    return IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable_cell(value: object) -> object:
    """Return a table cell for people: no control characters, and nothing that a spreadsheet reads as a formula.

    Args:
        value: numbers, and texts that are numbers, stay unchanged.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def _written_out(found: "re.Match[str]") -> str:
    code = ord(found[0])
    return SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
