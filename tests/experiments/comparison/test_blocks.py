"""The best baseline, differences to it, and what is best beyond doubt."""

from collections.abc import Callable

import numpy as np
import pytest

from recbole_longinterest.experiments.comparison import analysis, blocks
from recbole_longinterest.experiments.comparison.analysis import Difference, Study
from recbole_longinterest.experiments.comparison.blocks import best_baseline, blocks_of
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.tables import main_table
from recbole_longinterest.experiments.comparison.verdicts import remarks, verdict

Made = Callable[..., Cell]
RNG = np.random.default_rng(0)
GOOD, FAIR, POOR = (RNG.integers(1, most, size=300).tolist() for most in (8, 12, 60))


def test_the_baseline_is_chosen_on_validation_among_all_rows_that_are_not_ours(made: Made) -> None:
    """SASRec is best on the test data and Markov on the validation data; what is LongInterest's never counts."""
    cells = [
        made("LongInterest", 1, GOOD, 0.9),
        made("LongInterest-ID", 1, GOOD, 0.8),
        made("SASRec", 1, GOOD, 0.1),
        made("Pop", 1, POOR, 0.05),
        made("Markov", 1, FAIR, 0.2),
    ]
    study = Study("tiny", cells)
    (block,) = blocks_of([study], "native")
    assert (block.baseline, block.candidates) == ("Markov", 3)
    assert {entry.name for entry in block.differences} == {"LongInterest", "LongInterest-ID", "SASRec", "Pop"}


def test_each_protocol_has_its_own_baseline(made: Made) -> None:
    cells = [
        made("SASRec", 1, FAIR, {"native": 0.3, "seen-masked": 0.1}),
        made("GRU4Rec", 1, FAIR, {"native": 0.2, "seen-masked": 0.2}),
    ]
    study = Study("tiny", cells)
    assert [blocks_of([study], protocol)[0].baseline for protocol in ("native", "seen-masked")] == ["SASRec", "GRU4Rec"]


def test_one_lucky_seed_is_no_baseline_and_is_said(made: Made) -> None:
    cells = [made("GRU4Rec", seed, FAIR, 0.2) for seed in (1, 2)] + [made("SASRec", 1, GOOD, 0.5)]
    cells.append(made("BPR", 1, GOOD, None))  # a list from elsewhere
    chosen = best_baseline(Study("tiny", cells).rows, "native")
    assert (chosen.place, chosen.fewer, chosen.unvalidated) == (0, ["SASRec"], ["BPR"])


def test_cells_of_an_earlier_version_are_compared_by_native_scores(made: Made) -> None:
    cells = [
        made("GRU4Rec", 1, FAIR, 0.3, choices=None),
        made("SASRec", 1, GOOD, {"native": 0.2, "seen-masked": 0.9}),
    ]
    chosen = best_baseline(Study("tiny", cells).rows, "seen-masked")
    assert (chosen.place, chosen.natively) == (0, True)
    assert not best_baseline(Study("tiny", cells).rows, "native").natively


def test_differences_are_over_common_seeds_and_paired_by_user(made: Made) -> None:
    shifted = [rank + 1 for rank in FAIR]
    cells = [made("GRU4Rec", seed, ranks, 0.2) for seed, ranks in ((1, FAIR), (2, POOR))]
    cells += [made("SASRec", 1, shifted), made("FPMC", 5, GOOD)]
    study = Study("tiny", cells)
    (block,) = blocks_of([study], "native")
    (entry,) = block.differences  # FPMC has no seed in common
    values = [row.means("native", "ndcg@10") for row in study.rows[:2]]
    assert entry.name == "SASRec" and entry.runs == 1
    assert entry.relative == pytest.approx(values[1][0] / values[0][0] - 1)
    assert entry.high < 0 and entry.p < 0.01  # every user is a little worse: unpaired it would be open


def test_seeds_widen_an_interval(made: Made) -> None:
    """Two rows whose users agree, and whose runs differ: over users a difference is sure, over seeds it is not."""
    ranks = {seed: [seed] * 300 for seed in (1, 2, 3, 4)}
    cells = [made("GRU4Rec", seed, ranks[3], 0.2) for seed in ranks]
    cells += [made("LongInterest", seed, ranks[rank]) for seed, rank in ((1, 1), (2, 4), (3, 4), (4, 2))]
    alone = [made("LongInterest-ID", 1, [2] * 300)]
    (block,) = blocks_of([Study("tiny", [*cells, *alone])], "native")
    ours, single = block.difference("LongInterest"), block.difference("LongInterest-ID")
    assert ours is not None and single is not None
    assert ours.low < 0 < ours.high and ours.verdict == "open" and ours.runs == 4
    assert single.low == pytest.approx(single.high) and single.verdict == "wins"
    low, high = block.intervals[1]
    assert high - low > 0.1 and block.intervals[2][0] == pytest.approx(block.intervals[2][1])


def test_no_difference_where_none_is_known(made: Made) -> None:
    cells = [made("GRU4Rec", 1, [50] * 300, 0.2), made("GRU4Rec", 2, FAIR, 0.2), made("SASRec", 1, FAIR)]
    (block,) = blocks_of([Study("tiny", cells)], "native")
    assert block.baseline == "GRU4Rec" and block.differences == []  # in the common run it has found nothing
    (nothing,) = blocks_of([Study("tiny", cells[:1])], "native")
    assert nothing.baseline is None


def test_only_what_is_beyond_doubt_is_best(made: Made) -> None:
    near = [rank + (1 if place % 30 == 0 else -1 if place % 30 == 15 and rank > 1 else 0)
            for place, rank in enumerate(FAIR)]  # fmt: skip
    base = made("GRU4Rec", 1, FAIR, 0.2)

    def best(*cells: Cell) -> str | None:
        (block,) = blocks_of([Study("tiny", [base, *cells])], "native")
        return block.best

    assert best(made("LongInterest", 1, GOOD)) == "LongInterest"
    assert best(made("LongInterest", 1, POOR)) == "GRU4Rec"
    assert best(made("LongInterest", 1, near)) is None
    assert best(made("LongInterest", 1, POOR), made("SASRec", 1, near)) is None
    assert best() is None  # there is no other row
    mixed = [rank + 1 if place % 5 == 0 else max(1, rank - (place % 5 == 1)) for place, rank in enumerate(GOOD)]
    alike = made("LongInterest", 1, GOOD), made("LongInterest, without text", 1, mixed)
    assert best(*alike) is None  # both win against the baseline, and neither against the other
    assert best(made("SASRec", 1, FAIR, 0.1), made("SASRec", 2, FAIR, 0.1), made("LongInterest", 1, GOOD)) is None


def test_a_win_needs_the_corrected_p() -> None:
    assert Difference("a", 0.2, 0.1, 0.3, 0.01).verdict == "wins"
    assert Difference("a", -0.2, -0.3, -0.1, 0.01).verdict == "loses"
    assert Difference("a", 0.2, 0.1, 0.3, 0.3).verdict == "open"
    assert Difference("a", 0.2, -0.1, 0.3, 0.01).verdict == "open"


def test_ablations_are_compared_with_the_whole_model(made: Made) -> None:
    cells = [made("LongInterest", seed, FAIR) for seed in (1, 2)]
    cells += [made("LongInterest, without text", 1, POOR), made("LongInterest-ID", 2, GOOD), made("Pop", 1, POOR)]
    worse, better = Study("tiny", cells).ablations("native")
    assert (worse.name, better.name) == ("LongInterest, without text", "LongInterest-ID")
    assert worse.high < 0 < better.low and worse.verdict == "loses"
    assert Study("tiny", cells[2:]).ablations("native") == []


def test_movielens_sets_are_pooled(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [made("GRU4Rec", 1, FAIR, 0.2), made("LongInterest", 1, GOOD), made("Pop", 1, POOR)]
    studies = [Study("tiny", cells), Study("tiny", cells)]
    for module in (analysis, blocks):
        monkeypatch.setattr(module, "POOLED", ("iny", "Both"))
    single, _, pooled = blocks_of(studies, "native")
    assert pooled.dataset == "Both"
    relative = {entry.name: entry.relative for entry in single.differences}
    assert {entry.name for entry in pooled.differences} == set(relative)  # the best baseline of all is no row
    for entry in pooled.differences:
        assert entry.relative == pytest.approx(relative[entry.name]) and entry.runs == 1


def test_rows_that_read_the_time_of_the_request_stand_apart(made: Made) -> None:
    own, other = made("LongInterest", 1, [2] * 200), made("SASRec", 1, [3] * 200, 0.2)
    asked = [made(f"{name}+request", 1, [1] * 200, 0.9, request_time=True) for name in ("LongInterest", "HSTU")]
    study = Study("tiny", [own, other, *asked])
    (block,) = blocks_of([study], "native")
    assert (block.baseline, [entry.name for entry in block.differences]) == ("SASRec", ["LongInterest"])
    assert block.best == "LongInterest" and block.candidates == 1
    names = ["LongInterest+request (request time)", "HSTU+request (request time)"]
    assert [(row[0], row[6]) for row in main_table(study, block).rows[2:]] == [(name, "not compared") for name in names]
    (said,) = remarks(study, block)
    assert said.startswith(f"Not compared: {', '.join(names)}. These rows read the time of the request")

    alike = Study("tiny", asked)  # all of them read it
    (block,) = blocks_of([alike], "native")
    assert block.baseline == "HSTU+request" and [entry.name for entry in block.differences] == ["LongInterest+request"]
    assert remarks(alike, block)[-1].startswith("All rows read the time of the request")

    alone = Study("tiny", [made("LongInterest", 1, [2] * 200, request_time=True), other])
    (block,) = blocks_of([alone], "native")
    assert "LongInterest reads the time of the request and the others do not" in verdict(alone, block)
