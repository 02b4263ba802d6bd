"""Results of a comparison in sentences, with the baseline, the number of seeds, and the significance."""

from recbole_longinterest.experiments.comparison.analysis import Difference, Study
from recbole_longinterest.experiments.comparison.blocks import Block
from recbole_longinterest.experiments.comparison.protocol import MASKED
from recbole_longinterest.experiments.comparison.rows import APART, said_runs

WORDS = {
    "wins": "{own} is better than {base}",
    "loses": "{own} is worse than {base}",
    "open": "the difference between {own} and {base} is open",
}


def percent(difference: Difference) -> str:
    """A difference with its interval and p, such as "+4.6 % (95 % +1.2 to +8.1, p 0.012)"."""
    low, high = f"{100 * difference.low:+.1f}", f"{100 * difference.high:+.1f}"
    return f"{100 * difference.relative:+.1f} % (95 % {low} to {high}, p {p_text(difference.p)})"


def p_text(p: float) -> str:
    """A p value as text."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def verdict(study: Study, block: Block) -> str:
    """Sentence on the subject of the comparison, on one data set in one protocol."""
    own = study.subject
    where = f"{block.dataset}, {block.protocol}: "
    if block.baseline is None and not block.candidates and not block.unvalidated:
        return f"{where}there is no baseline: every row is {own} or a variant of it."
    if block.baseline is None:
        return f"{where}no baseline has a validation score above 0, so nothing is compared."
    best = (
        f"the best of {block.candidates} baselines on the validation data"
        if block.candidates > 1
        else "the only baseline with all runs"
    )
    if own + APART in block.names:
        return (
            f"{where}{own} reads the time of the request and the others do not, so it is not compared with "
            f"{block.baseline}, {best}."
        )
    if own not in block.names:
        missing = f"{own} is not in this table (--subject names another row)"
        return f"{where}{missing}; the rows are compared with {block.baseline}, {best}."
    difference = block.difference(own)
    if difference is None:
        return f"{where}{own} has no seed in common with {block.baseline}, {best}."
    mean = dict(zip(block.names, block.means, strict=True))
    seeds = len(set(next(row for row in study.rows if row.name == own).seeds))
    runs = said_runs(min(seeds, difference.runs), difference.runs)
    if difference.runs == 1:
        runs = "one seed: the interval is over users only"
    elif seeds == 1:
        runs = f"{runs}: the interval is over users and orders of ties, not over seeds"
    said = WORDS[difference.verdict].format(own=own, base=block.baseline)
    return (
        f"{where}{said} ({best}): {study.metric} {mean[own]:.4f} against {mean[block.baseline]:.4f}, "
        f"{percent(difference)}; {runs}."
    )


def pooled_verdict(block: Block, own: str) -> str | None:
    """Sentence on the row ``own`` over pooled data sets; None if it is not a row of all of them."""
    difference = block.difference(own)
    if difference is None:
        return None
    said = WORDS[difference.verdict].format(own=own, base="each data set's best baseline")
    return f"{block.dataset} pooled, {block.protocol}: {said}: {percent(difference)}."


def remarks(study: Study, block: Block) -> list[str]:
    """Notes for readers of a block's table."""
    lines = []
    mean = dict(zip(block.names, block.means, strict=True))
    own = study.subject
    if own in mean:
        ahead = [
            f"{row.name} ({mean[row.name]:.4f})"
            for row in study.rows
            if not row.ours and not row.apart and row.name != block.baseline and mean[row.name] > mean[own]
        ]
        if ahead:
            lines.append(
                f"A higher mean than {own}'s on the test data, without being the baseline: {', '.join(ahead)}."
            )
    apart = [row.name for row in study.rows if row.apart]
    if apart:
        lines.append(
            f"Not compared: {', '.join(apart)}. These rows read the time of the request (request_time), which here is "
            "the target's time. Other rows do not, so these rows are not compared with them and are never the baseline."
        )
    elif any(result.get("request_time") for row in study.rows for result in row.results):
        lines.append(
            "All rows read the time of the request (request_time), which here is the target's time: do not compare "
            "these figures with those of models that do not read it."
        )
    if block.fewer:
        lines.append(
            f"Better than the baseline on the validation data, but not chosen because of fewer seeds or runs: "
            f"{', '.join(block.fewer)}."
        )
    if block.unvalidated:
        lines.append(
            f"Without a validation score, and so never the baseline: {', '.join(block.unvalidated)} (lists made "
            "elsewhere)."
        )
    natively = [row.name for row in study.rows if row.chose_natively] if block.protocol == MASKED else []
    if natively:
        lines.append(
            f"Runs of an earlier version, whose epoch was chosen by native validation scores: {', '.join(natively)}. "
            "Remove their folders to train them again."
        )
    if block.chosen_natively:
        lines.append("Because of such runs, the baseline was chosen by native validation scores here.")
    return lines
