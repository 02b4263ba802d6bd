"""The web page of the service: three files of this package, which load nothing from other sites."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
"""Path -> file and type. The files hold no data and need no key; the page asks for one if the service has keys."""


def add_page(app: FastAPI) -> None:
    """Add the routes of the page.

    Args:
        app: the application.
    """
    folder = files("recbole_longinterest.service") / "web"
    for path, (name, kind) in FILES.items():
        _add_file(app, path, (folder / name).read_bytes(), kind)


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def send() -> Response:
        return Response(content, media_type=kind, headers={"Content-Security-Policy": POLICY})

    app.add_api_route(path, send, include_in_schema=False, name=f"page {path}")
