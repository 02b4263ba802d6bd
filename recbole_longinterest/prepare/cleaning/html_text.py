"""Text out of what shops publish: HTML unescaped and stripped, and titles that are pieces of a web page found."""

import html
import re

TAGS = (
    "a abbr b big blockquote body br center cite code dd div dl dt em figure font form h1 h2 h3 h4 h5 h6 head header "
    "hr html i iframe img input ins label li link meta nav noscript object ol option p param pre q s script section "
    "select small span strike strong style sub sup table tbody td textarea tfoot th thead title tr tt u ul video wbr"
).replace(" ", "|")
ELEMENTS_WITHOUT_TEXT = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
TAG = re.compile(rf"</?(?:{TAGS})\b[^<>]*/?>", re.IGNORECASE)
# Scripts and styles of the page, which the crawlers of 2014 and 2018 took for titles.
PAGE = re.compile(
    r"\bvar\s+\w+\s*=|\bfunction\b[^(){}]{0,60}\([^(){}]*\)\s*\{|\.getTime\(\)|\baPageStart\b|\bwindow\.\w+\s*=|"
    r"\bdocument\.(?:getElement|querySelector|write|cookie|body|location|createElement)|[.#][\w-]+\s*\{[^{}]*:[^{}]*[;}]|"
    r"<\s*/?\s*(?i:script|style)\b|^\s*(?i:<!doctype|<html)\b"
)
UNESCAPES = 3  # &amp;amp;quot; was escaped three times


def plain_text(raw: str) -> str:
    """A text without entities and tags; ``<`` that opens no HTML tag stays."""
    text = raw
    for _ in range(UNESCAPES):
        if "&" not in text:
            break
        text = html.unescape(text)
    if "<" in text:
        text = TAG.sub(" ", COMMENT.sub(" ", ELEMENTS_WITHOUT_TEXT.sub(" ", text)))
    return " ".join(text.split())


def is_page_fragment(raw: str) -> bool:
    """Whether a title is a piece of a page's script, style or head."""
    return bool(PAGE.search(html.unescape(raw)))
