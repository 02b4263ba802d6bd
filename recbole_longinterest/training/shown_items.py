"""What a served model shows of its items: titles and categories, from columns of the ``.item`` file."""

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
    """Titles and categories of the items.

    Args:
        config: of the training.
        tokens: of the items by internal id, the padding first.
        title_field: column of the titles; the first of the text's columns if None.
        category_field: column of the categories; if None that of the data's settings, else :func:`find_categories`.

    Returns:
        Titles and categories by internal id, empty if missing, and the names of their columns.

    Raises:
        ExportError: for a column that the file does not have, and for one of them without a file.
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
        cells = column(category_field, " ")  # as they stand
        categories = [values_of(cell, kinds[category_field], config["seq_separator"]) for cell in cells]
    return titles, categories, {"title": title_field, "category": category_field}


def find_categories(kinds: Mapping[str, str], column: Callable[[str], Sequence[str]]) -> str | None:
    """The column that holds categories: the first of lists, else the first ``token`` whose values repeat.

    Args:
        kinds: column -> type, in the order of the text.
        column: values of a column.
    """
    lists = [name for name, kind in kinds.items() if kind == "token_seq"]
    if lists:
        return lists[0]
    for name in (name for name, kind in kinds.items() if kind == "token"):
        values = [value for value in column(name) if value]
        if 2 * len(set(values)) <= len(values):
            return name
    return None
