"""Read the titles and categories that a served model shows, from columns of the ``.item`` file."""

from collections.abc import Callable, Mapping, Sequence
from logging import getLogger
from pathlib import Path

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.printable import printable
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.serving.model_folder import ExportError
from recbole_longinterest.text.reader import read_item_text, values_of
from recbole_longinterest.text.template import columns_of


def read_shown_items(
    config: Settings,
    tokens: Sequence[str],
    title_field: str | None,
    category_field: str | None,
) -> tuple[list[str], list[list[str]], dict[str, str | None]]:
    """Read the titles and categories of the items.

    Args:
        config: config of the training.
        tokens: item tokens by internal id; the first one is the padding.
        title_field: column with the titles; if None, the first column of ``text_fields`` or ``text_template``.
        category_field: column with the categories; if None, the config's ``category_field``, else the text column that
            :func:`find_categories` returns.

    Returns:
        Titles and categories by internal id, empty if missing, and the names of their columns.

    Raises:
        ExportError: if a given column is not in the file, or there is no file.
    """
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    given = {"--title_field": title_field, "--category_field": category_field}
    if not file.is_file():
        for option, name in given.items():
            if name:
                raise ExportError(f"{option} {name}: there is no item file {file} to read it from. Leave it out.")
        getLogger().warning(f"There is no item file {printable(file)}: the items have no titles.")
        return [""] * len(tokens), [[] for _ in tokens], {}
    kinds = dict(read_header(str(file), separator, encoding))
    for option, name in given.items():
        if name is not None and name not in kinds:
            raise ExportError(f"{option} {name}: {file} has no such column; it has {', '.join(kinds)}. Name one.")

    def column(name: str, list_separator: str) -> list[str]:
        by_token = read_item_text(
            file,
            config["ITEM_ID_FIELD"],
            [name],
            field_separator=separator,
            seq_separator=list_separator,
            encoding=encoding,
            join="".join,
        )
        return ["", *(by_token.get(token, "") for token in tokens[1:])]

    texts, _ = columns_of(config["text_fields"], config["text_template"])
    texts = [name for name in texts if name in kinds]
    title_field = title_field or next(iter(texts), None)
    if category_field is None and config["category_field"] in kinds:
        category_field = config["category_field"]
    others = {name: kinds[name] for name in texts if name != title_field}
    category_field = category_field or find_categories(others, lambda name: column(name, " "))
    titles, categories = [""] * len(tokens), [list[str]() for _ in tokens]
    if title_field is not None:
        titles = column(title_field, config["seq_separator"])
    if category_field is not None:
        cells = column(category_field, " ")  # whole cells, which values_of splits
        categories = [values_of(cell, kinds[category_field], config["seq_separator"]) for cell in cells]
    return titles, categories, {"title": title_field, "category": category_field}


def find_categories(kinds: Mapping[str, str], column: Callable[[str], Sequence[str]]) -> str | None:
    """Find the column that holds categories.

    This is the first ``token_seq`` column, else the first ``token`` column in which a value occurs twice on average.

    Args:
        kinds: column -> type, in the order of the text.
        column: function that returns the values of a column.

    Returns:
        The name of the column, or None.
    """
    lists = [name for name, kind in kinds.items() if kind == "token_seq"]
    if lists:
        return lists[0]
    for name in (name for name, kind in kinds.items() if kind == "token"):
        values = [value for value in column(name) if value]
        if values and 2 * len(set(values)) <= len(values):
            return name
    return None
