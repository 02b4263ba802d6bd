"""Render HTML pages from templates; every value is escaped."""

from collections.abc import Mapping

from recbole_longinterest.common.printable import printable_lines


def render_page(package: str, template: str, values: Mapping[str, object]) -> str:
    """Fill a template.

    Args:
        package: package whose folder ``templates`` has the template, for example ``recbole_longinterest.experiments``.
        template: file name, ending in ``.html.j2``.
        values: values by name. A template can use Python's format codes: ``{{ score|formatted(".3f") }}``.

    Returns:
        The page, with text escaped. A template name missing from ``values`` is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # late: the import takes 0.2 s

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["formatted"] = format
    # Markup objects are already safe and stay unchanged.
    environment.finalize = lambda value: printable_lines(value) if type(value) is str else value
    return environment.get_template(template).render(values)
