"""The end of a report: how its figures are read, and what they were made with."""

from collections.abc import Sequence

from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.variants import OWN, PUBLISHED
from recbole_longinterest.experiments.documents import Block as Part
from recbole_longinterest.experiments.documents import Heading, Points, Text

ALL_ITEMS = "Native ranks all items, as RecBole does for sequential models"
HOW = (
    "Every model reads the same log, split and catalogue. {native}; seen-masked leaves out what the user has had "
    "before the target, whatever the model. Each protocol chooses its own epoch on the validation data, in one "
    "training, which stops when the choice of each is final; and its own settings, in a training of its own, where a "
    "search by it has written some. Time and memory are then the native training's. An item with the target's score "
    "counts half.",
    "Means are over the seeds. Intervals are 95 % by a bootstrap that draws users and seeds (the pigeonhole bootstrap, "
    "Owen 2007: slightly too wide rather than too narrow); with one seed they are over users alone, and the table says "
    "so. With three to five seeds the seeds' part is roughly known. Counts, neighbours, linear models and lists from "
    "elsewhere are the same for every seed (no seed): they run once for each order of ties.",
    "The best baseline is the row with the best validation score in that protocol, among those with most seeds or no "
    f"seed, that is not {OWN}, an ablation or a variant of it; popularity, Markov chains, neighbours and linear models "
    "count. Differences to it are over the seeds that both rows have, paired by user; the run of a row without a seed "
    "is compared with every seed of the other. p is corrected by Holm for the rows of the table. A row wins or loses "
    "only where the interval excludes 0 and p is below 0.05, else it is open. Bold is the best row where nothing about "
    "it is open.",
)


def how_to_read(studies: Sequence[Study]) -> list[Part]:
    """How the figures are made, for readers."""
    results = [result for study in studies for row in study.rows for result in row.results]
    arguments = [(result.get("manifest") or {}).get("config", {}).get("eval_args") or {} for result in results]
    modes = sorted({str(each["mode"]["test"]) for each in arguments if "mode" in each} - {"full"})
    splits = sorted({str(each["split"]) for each in arguments if "split" in each})
    sampled = (
        f"Native ranks the target among candidates that RecBole draws ({', '.join(modes)}), the same for all models"
    )
    lines = [line.format(native=sampled if modes else ALL_ITEMS) for line in HOW]
    if splits:
        lines.append(f"Split: {', '.join(splits)}.")
    return [Heading("How to read it"), *(Text(line) for line in lines)]


def how_made(studies: Sequence[Study], same: Sequence[str]) -> list[Part]:
    """Settings, versions and inputs.

    Args:
        studies: all data sets.
        same: rows that another row is, in words.
    """
    results = [(study, row, result) for study in studies for row in study.rows for result in row.results]
    parts: list[Part] = [Heading("How it was made")]
    untuned = sorted({f"{row.name} on {study.dataset}" for study, row, _ in results if row.source == PUBLISHED})
    lines = [f"Not tuned, at the model's own defaults: {', '.join(untuned)}."] if untuned else []
    lines += same
    lines.append(
        "Pop and Markov are this command's own. RecBole's general models learn from the same events and rank the "
        "same rows as its sequential ones."
    )
    manifests = [result["manifest"] for _, _, result in results if result.get("manifest")]
    if manifests:
        lines.append("Versions: " + "; ".join(sorted({_versions(each["versions"]) for each in manifests})))
        lines.append("Commit: " + ", ".join(sorted({str(each["commit"]) for each in manifests})))
        files = {f"{name} {digest}" for each in manifests for name, digest in each["files"].items()}
        lines += [f"Input, SHA-256: {line}" for line in sorted(files)]
    lines.append("Settings, versions, split hash and tie share of every run: cells/<data set>/<row>/result.json.")
    return [*parts, Points(lines)]


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
