"""The directive ``drawing``: an SVG of docs/drawings in the colours of the page, light or dark."""

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


class Drawing(Directive):
    """``:::{drawing} NAME``; the content says what it shows, for readers who cannot see it."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make one image per theme; the page's style hides the image of the other theme."""
        what = " ".join(self.content)
        if not what:
            raise self.error(f"The drawing {self.arguments[0]} needs a sentence that says what it shows.")
        images = [
            nodes.image(
                uri=f"/drawings/{self.arguments[0]}-{colours}.svg", alt=what, width="100%", classes=[f"only-{colours}"]
            )
            for colours in ("light", "dark")
        ]
        return [nodes.container("", *images, classes=["drawing"])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
