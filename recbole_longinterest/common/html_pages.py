"""HTML pages from templates, in which every value is escaped."""

from collections.abc import Mapping

from recbole_longinterest.common.printable import printable_lines


def render_page(package: str, template: str, values: Mapping[str, object]) -> str:
    """Fill a template.

    Args:
        package: that has the template in its folder ``templates``, for example ``recbole_longinterest.experiments``.
        template: its file name, ending in ``.html.j2``.
        values: by name. A template can write a number by Python's format codes: ``{{ score|formatted(".3f") }}``.

    Returns:
        The page. Text in it is escaped; a name that the template uses and ``values`` lacks is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 0.2 s, which only a page pays

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["formatted"] = format
    # Markup that is ready (safe by its type) stays as it is.
    environment.finalize = lambda value: printable_lines(value) if type(value) is str else value
    return environment.get_template(template).render(values)
