"""Write table.tex: a LaTeX table per data set with both protocols side by side, for a two-column page."""

from collections.abc import Callable, Sequence

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.experiments.comparison.analysis import Difference, Study
from recbole_longinterest.experiments.comparison.blocks import Block
from recbole_longinterest.experiments.comparison.rows import Row
from recbole_longinterest.experiments.comparison.variants import OWN
from recbole_longinterest.experiments.comparison.verdicts import p_text
from recbole_longinterest.experiments.documents import latex_text

Place = tuple[Study, Block, Row, Difference | None]


def _metric(place: Place) -> str:
    study, block, row, _ = place
    return f"{row.means(block.protocol, study.metric).mean():.4f}"


def _interval(place: Place) -> str:
    _, block, row, _ = place
    low, high = block.intervals[list(block.names).index(row.name)]
    return rf"$\pm${(high - low) / 2:.4f}"


def _of(name: str) -> Callable[[Place], str]:
    def cell(place: Place) -> str:
        study, block, row, _ = place
        return f"{np.mean(row.reported(block.protocol, name + '@' + study.metric.split('@')[1])):.4f}"

    return cell


def _difference(place: Place) -> str:
    *_, entry = place
    if entry is None:
        return "--"
    star = "" if entry.verdict == "open" else "$^{*}$"
    return rf"${100 * entry.relative:+.1f}$\,\%{star}"


def _range(place: Place) -> str:
    *_, entry = place
    return "--" if entry is None else f"[${100 * entry.low:+.1f}$, ${100 * entry.high:+.1f}$]"


def _p(place: Place) -> str:
    *_, entry = place
    return "--" if entry is None else latex_text(p_text(entry.p))


COLUMNS: dict[str, tuple[str, Callable[[Place], str]]] = {
    "metric": ("", _metric),
    "interval": (r"95\,\%", _interval),
    "recall": ("Recall", _of("recall")),
    "mrr": ("MRR", _of("mrr")),
    "difference": ("diff.", _difference),
    "range": (r"95\,\% of diff.", _range),
    "p": ("$p$", _p),
    "seeds": ("seeds", lambda place: "--" if place[2].seedless else str(len(set(place[2].seeds)))),
}
DEFAULT = ("metric", "interval", "recall", "difference")
FITTING = 10  # columns of figures that fit on a page; more are scaled down


def check_columns(columns: Sequence[str]) -> None:
    """Check the names of columns.

    Raises:
        LongInterestError: if a name is unknown, or there are no names.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or not columns:
        raise LongInterestError(
            f"The columns of table.tex must be some of {', '.join(COLUMNS)}; got {unknown[0] if unknown else 'none'!r}."
        )


def paper_table(study: Study, blocks: Sequence[Block], columns: Sequence[str] = DEFAULT) -> str:
    """Render a data set as a LaTeX table over both columns of a page.

    It needs the package booktabs, and graphicx if it has so many columns that it is scaled down.

    Args:
        study: the data set, with finished rows.
        blocks: results of the data set in each protocol.
        columns: columns of each protocol, from ``COLUMNS``.

    Raises:
        LongInterestError: if a column is unknown.
    """
    check_columns(columns)
    number = len(columns)
    wide = number * len(blocks) > FITTING
    columns_of = r"@{\quad}" + "r" * number
    heads = [_head(name, study) for name in columns]
    spans = [rf"\cmidrule(lr){{{2 + number * place}-{1 + number * (place + 1)}}}" for place in range(len(blocks))]
    titles = [rf"\multicolumn{{{number}}}{{c}}{{{latex_text(block.protocol)}}}" for block in blocks]
    lines = [
        r"\begin{table*}[t]",
        r"\centering\small\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{_caption(study, blocks)}}}",
        rf"\label{{tab:{study.key}}}",
        *([r"\resizebox{\textwidth}{!}{%  needs \usepackage{graphicx}"] if wide else []),
        rf"\begin{{tabular}}{{l{columns_of * len(blocks)}}}",
        r"\toprule",
        " & ".join(["", *titles]) + r" \\",
        "".join(spans),
        " & ".join(["model", *heads * len(blocks)]) + r" \\",
        r"\midrule",
    ]
    whole = [row for row in study.rows if row.kind != "ablation"]
    lines += [_line(study, blocks, row, columns, [block.difference(row.name) for block in blocks]) for row in whole]
    ablations = [{entry.name: entry for entry in study.ablations(block.protocol)} for block in blocks]
    changed = [row for row in study.rows if row.kind == "ablation"]
    if changed:
        width = 1 + number * len(blocks)
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{ablations; differences to {OWN}}}}} \\"]
        for row in changed:
            entries = [found.get(row.name) for found in ablations]
            lines.append(_line(study, blocks, row, columns, entries, row.name.removeprefix(f"{OWN}, ")))
    end = r"\end{tabular}}" if wide else r"\end{tabular}"
    return "\n".join([*lines, r"\bottomrule", end, r"\end{table*}"]) + "\n"


def _head(name: str, study: Study) -> str:
    metric, _, k = study.metric.partition("@")
    return {"metric": f"{metric.upper()}@{k}", "recall": f"Recall@{k}", "mrr": f"MRR@{k}"}.get(name, COLUMNS[name][0])


def _line(
    study: Study,
    blocks: Sequence[Block],
    row: Row,
    columns: Sequence[str],
    entries: Sequence[Difference | None],
    name: str = "",
) -> str:
    cells = [latex_text(name or row.name)]
    for block, entry in zip(blocks, entries, strict=True):
        own = [COLUMNS[column][1]((study, block, row, entry)) for column in columns]
        if block.best == row.name:
            own = [_bold(text) if column == "metric" else text for column, text in zip(columns, own, strict=True)]
        cells += own
    return " & ".join(cells) + r" \\"


def _bold(text: str) -> str:
    return rf"\textbf{{{text}}}"


def _caption(study: Study, blocks: Sequence[Block]) -> str:
    against = "; ".join(
        f"{latex_text(block.protocol)}: against {latex_text(block.baseline or 'none')}" for block in blocks
    )
    over = "mean of the runs, " if any(len(row.runs) > 1 for row in study.rows) else ""
    return (
        rf"{latex_text(study.dataset)}: test results, {over}95\,\% intervals over {study.over}. "
        rf"Differences to the best baseline on validation data ({against}); $^*$: significant after Holm's correction."
    )
