"""Report parts on the effect of tie order and split: notes, and a table with a column for each view."""

from collections.abc import Sequence

from recbole_longinterest.data.ties import RANDOM
from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.protocol import PROTOCOLS
from recbole_longinterest.experiments.comparison.views import MATTERS
from recbole_longinterest.experiments.documents import Heading, Table, Text

NOT_ASKED = (
    "More than 10 % of the test targets tie, and this table uses one order of ties: --ties file,random gives the mean "
    "over three random orders, which is the figure to report."
)
HEADLINE = (
    "More than 10 % of the test targets tie, so this table, with a mean over orders, is the headline; the table in "
    "file order is for comparison with the literature."
)
BESIDE = (
    "More than 10 % of the test targets tie: the headline, with its verdicts, is the table with ties in random order; "
    "this one is for comparison with the literature."
)


def about_data(study: Study) -> list[Text]:
    """Notes on the ties of a table, and on its split by time."""
    if study.about is None:
        return []
    parts = [Text(study.about.ties.sentence())]
    if study.about.split:
        parts.append(Text(f"{study.about.split[0].upper()}{study.about.split[1:]}"))
    if study.about.matters:
        if study.view.ties == RANDOM:
            parts.append(Text(HEADLINE))
        else:
            parts.append(Text(NOT_ASKED if study.headline else BESIDE))
    return parts


def view_parts(studies: Sequence[Study]) -> list[Heading | Table | Text]:
    """A table for each data set with several orders of ties or splits, with a line per row of the comparison.

    Args:
        studies: tables of a comparison, grouped by data set.
    """
    parts: list[Heading | Table | Text] = []
    names = list(dict.fromkeys(study.of for study in studies))
    for name in names:
        views = [study for study in studies if study.of == name and study.rows]
        if len(views) < 2:
            continue
        parts.append(Heading(f"{name}, by order of ties and split"))
        several = len({study.view.ties for study in views}) > 1
        for protocol in PROTOCOLS:
            parts.append(_table(views, protocol, several))
        if not several:
            parts.append(Text("In brackets: number of runs. Figures of different splits are not comparable."))
            continue
        marked = [study.view.name or "ties in the order of the file" for study in views if study.headline]
        parts.append(
            Text(
                f"The headline is: {'; '.join(marked)}. It is the random order if more than {100 * MATTERS:.0f} % of "
                "the test targets tie. In brackets: number of runs. Figures of different orders or splits are not "
                "comparable."
            )
        )
    return parts


def _table(views: Sequence[Study], protocol: str, mark: bool) -> Table:
    head = [f"{views[0].metric}, {protocol}", *(_title(study, mark) for study in views)]
    rows = list(dict.fromkeys(row.name for study in views for row in study.rows))
    lines = []
    for name in rows:
        cells = []
        for study in views:
            row = next((row for row in study.rows if row.name == name), None)
            if row is None:
                cells.append("")
                continue
            mean = float(row.means(protocol, study.metric).mean())
            cells.append(f"{mean:.4f} ({len(row.runs)})")
        lines.append([name, *cells])
    return Table(head, lines)


def _title(study: Study, mark: bool) -> str:
    name = study.view.name or "file order"
    return f"{name} (headline)" if mark and study.headline else name
