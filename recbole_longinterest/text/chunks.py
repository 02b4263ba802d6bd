"""Split texts that are too long for an encoder."""

from collections.abc import Callable, Sequence

CountTokens = Callable[[Sequence[str]], list[int]]


def split_text(text: str, room: int, most: int, count_tokens: CountTokens) -> list[str]:
    """Split a text into chunks of whole words. A word that is too long for a chunk is split between characters.

    Args:
        text: the text; white space between chunks is dropped.
        room: maximum number of tokens of a chunk.
        most: maximum number of chunks; the rest of the text is dropped.
        count_tokens: returns the number of tokens of each piece of text, without special tokens.

    Returns:
        1 to ``most`` chunks; the text itself if it fits.
    """
    if count_tokens([text])[0] <= room:
        return [text]
    chunks: list[str] = []
    chunk, used = "", 0
    for between, piece, size in _pieces(text, room, count_tokens):
        if chunk and used + size > room:
            chunks.append(chunk)
            if len(chunks) == most:
                return chunks
            chunk, used, between = "", 0, ""
        chunk += between + piece
        used += size
    return [*chunks, chunk]


def _pieces(text: str, room: int, count_tokens: CountTokens) -> list[tuple[str, str, int]]:
    """Pieces of a text, each as (separator before it: a space, or "" inside a word; piece; number of tokens)."""
    words = text.split()
    pieces: list[tuple[str, str, int]] = []
    for word, size in zip(words, count_tokens(words), strict=True):
        if size <= room:
            pieces.append((" ", word, size))
        else:
            sizes = count_tokens(list(word))
            pieces += [("" if at else " ", mark, size) for at, (mark, size) in enumerate(zip(word, sizes, strict=True))]
    return pieces
