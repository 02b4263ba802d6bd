"""The sentences of a comparison."""

from collections.abc import Callable

import pytest

from recbole_longinterest.experiments.comparison.analysis import Difference, Study
from recbole_longinterest.experiments.comparison.blocks import Block, blocks_of
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.verdicts import p_text, pooled_verdict, remarks, verdict

Made = Callable[..., Cell]


def sentence(*cells: Cell) -> str:
    study = Study("tiny", cells)
    return verdict(study, blocks_of([study], "native")[0])


def test_a_verdict_names_what_it_is_against(made: Made) -> None:
    base = [made("SASRec", seed, [3] * 200, 0.2) for seed in (1, 2)]
    others = [made("Pop", seed, [9] * 200) for seed in (1, 2)]
    ours = [made("LongInterest", seed, [2] * 200) for seed in (1, 2)]
    assert sentence(*base, *others, *ours) == (
        "tiny, native: LongInterest is better than SASRec (the best of 2 baselines on the validation "
        "data): ndcg@10 0.6309 against 0.5000, +26.2 % (95 % +26.2 to +26.2, p < 0.001); 2 seeds."
    )
    assert "LongInterest is worse than SASRec (the only baseline" in sentence(*base, made("LongInterest", 1, [9] * 200))
    assert "one seed: the interval is over users only" in sentence(*base, made("LongInterest", 1, [9] * 200))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["LongInterest"], "there is no baseline: every row is LongInterest or a variant of it."),
        (
            ["Pop", "SASRec"],
            "LongInterest is not in this table (--subject names another row); the rows are",
        ),
    ],
)
def test_where_nothing_is_compared(made: Made, names: list[str], said: str) -> None:
    assert said in sentence(*(made(name, 1, [3] * 20) for name in names))


def test_another_row_may_be_the_subject(made: Made) -> None:
    cells = [made("Mine", 1, [3] * 50, 0.1), made("SASRec", 1, [4] * 50, 0.2), made("LongInterest", 1, [2] * 50, 0.3)]
    cells.append(made("LongInterest, without text", 1, [1] * 50, 0.9))
    study = Study("tiny", cells, subject="Mine")
    (block,) = blocks_of([study], "native")
    assert (block.baseline, block.candidates) == ("LongInterest", 2)  # ablations are never the baseline
    assert verdict(study, block).startswith("tiny, native: Mine is worse than LongInterest (the best of 2 baselines on")


def test_rows_without_a_common_seed_are_not_compared(made: Made) -> None:
    said = sentence(made("GRU4Rec", 1, [3] * 20), made("LongInterest", 2, [3] * 20))
    assert "LongInterest has no seed in common with GRU4Rec, the only baseline" in said


def test_remarks_say_what_the_choice_of_the_baseline_leaves_out(made: Made) -> None:
    cells = [made("GRU4Rec", seed, [3] * 50, 0.2) for seed in (1, 2)] + [made("SASRec", 1, [1] * 50, 0.5)]
    cells += [made("BPR", 1, [1] * 50, None), made("LongInterest", 1, [2] * 50)]
    study = Study("tiny", cells)
    lines = remarks(study, blocks_of([study], "native")[0])
    assert lines == [
        "A higher mean than LongInterest's on the test data, without being the baseline: SASRec (1.0000), BPR "
        "(1.0000).",
        "Better than the baseline on the validation data, but not chosen because of fewer seeds or runs: SASRec.",
        "Without a validation score, and so never the baseline: BPR (lists made elsewhere).",
    ]


def test_pooled_data_sets_have_a_verdict() -> None:
    entry = Difference("LongInterest", 0.1, 0.05, 0.15, 0.004, 2)
    block = Block("MovieLens", "native", ["LongInterest"], [1.1], [(1.0, 1.2)], None, [entry])
    assert pooled_verdict(block, "LongInterest") == (
        "MovieLens pooled, native: LongInterest is better than each data set's best baseline: +10.0 % (95 % +5.0 to "
        "+15.0, p 0.004)."
    )
    assert pooled_verdict(Block("MovieLens", "native", [], [], [], None, []), "LongInterest") is None
    assert (p_text(0.0001), p_text(0.0312)) == ("< 0.001", "0.031")
