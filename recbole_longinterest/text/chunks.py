"""Split texts that are longer than an encoder reads."""

from collections.abc import Callable, Sequence

CountTokens = Callable[[Sequence[str]], list[int]]


def split_text(text: str, room: int, most: int, count_tokens: CountTokens) -> list[str]:
    """Chunks of whole words that fit an encoder; of a word that does not fit, or a text without spaces, characters.

    Args:
        text: the text; white space between chunks is dropped.
        room: tokens of a chunk.
        most: chunks; what follows them is left out.
        count_tokens: numbers of tokens of pieces of text, without special ones.

    Returns:
        1 to ``most`` chunks, the text itself if it fits.
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
    """What stands before a piece (a space, or nothing inside a word), the piece, and its tokens."""
    words = text.split()
    pieces: list[tuple[str, str, int]] = []
    for word, size in zip(words, count_tokens(words), strict=True):
        if size <= room:
            pieces.append((" ", word, size))
        else:
            sizes = count_tokens(list(word))
            pieces += [("" if at else " ", mark, size) for at, (mark, size) in enumerate(zip(word, sizes, strict=True))]
    return pieces
