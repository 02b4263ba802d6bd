"""The last sections of a report: how to read the figures, and how they were made."""

from collections.abc import Sequence

from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.variants import OWN, PUBLISHED
from recbole_longinterest.experiments.documents import Block as Part
from recbole_longinterest.experiments.documents import Heading, Points, Text

ALL_ITEMS = "Native ranks all items, as RecBole does for sequential models"
HOW = (
    "Every model reads the same log, split and catalogue. {native}; seen-masked leaves out the items of the user's "
    "history, for every model. Each protocol chooses its own epoch on the validation data: in the same training, which "
    "stops when both choices are final, or in a separate training if a search by that protocol has written its own "
    "settings. Time and memory are then those of the native training. An item with the target's score counts half.",
    "Means are over the seeds. Intervals are 95 %, from a bootstrap over users and seeds (the pigeonhole bootstrap, "
    "Owen 2007: slightly too wide rather than too narrow); with one seed they are over users only, and the table says "
    "so. With three to five seeds, the variance over seeds is only roughly known. Counting models, neighbours, linear "
    "models and external lists are the same for every seed (no seed): they run once for each order of ties.",
    "The best baseline is the row with the best validation score in that protocol, among the rows with most seeds or "
    "no seed, without {own}; popularity, Markov chains, neighbours and linear models "
    "count. Differences to it are over the seeds that both rows have, paired by user; the run of a row without a seed "
    "is compared with every seed of the other. p values are corrected for the number of rows (Holm). A row wins or "
    "loses only if the interval excludes 0 and p is below 0.05; otherwise it is open. A bold row is "
    "significantly better than every other row.",
)


def how_to_read(studies: Sequence[Study]) -> list[Part]:
    """Section on how to read the figures."""
    results = [result for study in studies for row in study.rows for result in row.results]
    arguments = [(result.get("manifest") or {}).get("config", {}).get("eval_args") or {} for result in results]
    modes = sorted({str(each["mode"]["test"]) for each in arguments if "mode" in each} - {"full"})
    splits = sorted({str(each["split"]) for each in arguments if "split" in each})
    sampled = (
        f"Native ranks the target among candidates that RecBole draws ({', '.join(modes)}), the same for all models"
    )
    own = f"{OWN}, its ablations and its variants"
    if studies and studies[0].subject != OWN:
        own = f"{studies[0].subject} and the ablations of {OWN}"
    lines = [line.format(native=sampled if modes else ALL_ITEMS, own=own) for line in HOW]
    if splits:
        lines.append(f"Split: {', '.join(splits)}.")
    return [Heading("How to read it"), *(Text(line) for line in lines)]


def how_made(studies: Sequence[Study], same: Sequence[str]) -> list[Part]:
    """Section on settings, versions and inputs.

    Args:
        studies: all tables.
        same: notes on rows that equal another row, and on lists.
    """
    results = [(study, row, result) for study in studies for row in study.rows for result in row.results]
    parts: list[Part] = [Heading("How it was made")]
    untuned = sorted({f"{row.name} on {study.dataset}" for study, row, _ in results if row.source == PUBLISHED})
    lines = [f"Not tuned, at the model's own defaults: {', '.join(untuned)}."] if untuned else []
    lines += same
    lines.append(
        "Pop and Markov are implemented in this command. RecBole's general models learn from the same events and rank "
        "the same rows as its sequential models."
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
