"""Extract plain text from shop data: unescape and strip HTML, and detect titles that are fragments of a web page."""

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
# Scripts and styles of web pages, which the crawlers of 2014 and 2018 stored as titles.
PAGE = re.compile(
    r"\bvar\s+\w+\s*=|\bfunction\b[^(){}]{0,60}\([^(){}]*\)\s*\{|\.getTime\(\)|\baPageStart\b|\bwindow\.\w+\s*=|"
    r"\bdocument\.(?:getElement|querySelector|write|cookie|body|location|createElement)|[.#][\w-]+\s*\{[^{}]*:[^{}]*[;}]|"
    r"<\s*/?\s*(?i:script|style)\b|^\s*(?i:<!doctype|<html)\b"
)
UNESCAPES = 3  # &amp;amp;quot; was escaped three times


def plain_text(raw: str) -> str:
    """Remove HTML entities and tags; a ``<`` that does not open a tag stays."""
    text = raw
    for _ in range(UNESCAPES):
        if "&" not in text:
            break
        text = html.unescape(text)
    if "<" in text:
        text = TAG.sub(" ", COMMENT.sub(" ", ELEMENTS_WITHOUT_TEXT.sub(" ", text)))
    return " ".join(text.split())


def is_page_fragment(raw: str) -> bool:
    """Whether a title is a fragment of a web page's script, style or head."""
    return bool(PAGE.search(html.unescape(raw)))
