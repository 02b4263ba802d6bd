"""Settings of an adaptation, with their checks, and its outcome."""

from dataclasses import dataclass
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.text.adapting.tunable import METHODS


@dataclass(frozen=True)
class AdaptSettings:
    """Settings of an adaptation.

    Attributes:
        method: ``lora``, ``adapter`` or ``full``.
        epochs: maximum number of epochs.
        patience: stop after this many epochs without a better recall.
        anchors: anchor items of a batch; each adds a positive and a hard negative to the batch.
        part: maximum number of texts in one forward and backward pass; limits the memory, does not change the result.
        temperature: temperature of InfoNCE.
        learning_rate: learning rate of AdamW; None for the method's default.
        rank: rank of the weight updates of ``lora``.
        layers: number of upper layers that ``lora`` updates; the others run once. None for all layers.
        popularity: exponent of the popularity correction of positives; 0 for no correction.
        held_out: share of the items in each of two held-out sets: one stops the training, the other measures the
            result.
        structure: columns of the ``.item`` file; items with a common value become further positives.
    """

    method: str = "lora"
    epochs: int = 20
    patience: int = 3
    anchors: int = 64
    part: int = 256
    temperature: float = 0.05
    learning_rate: float | None = None
    rank: int = 16
    layers: int | None = None
    popularity: float = 0.3
    held_out: float = 0.1
    structure: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [
            (self.method not in METHODS, "--method", f"one of {', '.join(METHODS)}", self.method),
            (self.temperature <= 0, "--temperature", "above 0", self.temperature),
            (self.learning_rate is not None and self.learning_rate <= 0, "--learning-rate", "above 0", None),
            (not 0 <= self.popularity <= 1, "--popularity", "from 0 to 1", self.popularity),
            (self.layers is not None and self.layers < 1, "--layers", "at least 1", self.layers),
            (
                self.layers is not None and self.method != "lora",
                "--layers",
                "left out without --method lora",
                self.layers,
            ),
            (not 0 < self.held_out <= 0.4, "--held-out", "above 0 and at most 0.4", self.held_out),
        ]
        for is_wrong, option, what, got in wrong:
            if is_wrong:
                got = self.learning_rate if got is None else got
                raise LongInterestError(f"{option} must be {what}; got {got}.")


@dataclass(frozen=True)
class Adapted:
    """Outcome of an adaptation. The recalls are on the held-out items that are used only to report.

    Attributes:
        output: folder of the adapted encoder.
        epochs: number of trained epochs.
        best: the epoch whose weights are kept, counted from 1.
        before: recall of the original encoder.
        after: recall of the adapted encoder.
        interval: 95 % interval of the difference of the recalls.
        card: text of the model card.
    """

    output: Path
    epochs: int
    best: int
    before: float
    after: float
    interval: tuple[float, float]
    card: str
