"""What a user gives to an adaptation, checked, and what comes of it."""

from dataclasses import dataclass
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.text.adapting.tunable import METHODS


@dataclass(frozen=True)
class AdaptSettings:
    """Settings of an adaptation.

    Attributes:
        method: ``lora``, ``adapter`` or ``full``.
        epochs: at most.
        patience: epochs without a better recall after which it stops.
        anchors: items that a batch begins with; a positive and a hard negative of each come with them.
        part: texts that are encoded with a graph at a time; bounds the memory, does not change the result.
        temperature: of InfoNCE.
        learning_rate: None for the method's own.
        rank: of the updates of ``lora``.
        popularity: exponent of the correction of positives, 0 for none.
        held_out: share of the items that stops the training, and of those that measure it.
        structure: columns of the ``.item`` file whose shared values are further positives.
    """

    method: str = "lora"
    epochs: int = 20
    patience: int = 3
    anchors: int = 64
    part: int = 256
    temperature: float = 0.05
    learning_rate: float | None = None
    rank: int = 16
    popularity: float = 0.3
    held_out: float = 0.1
    structure: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [
            (self.method not in METHODS, "--method", f"one of {', '.join(METHODS)}", self.method),
            (self.temperature <= 0, "--temperature", "above 0", self.temperature),
            (self.learning_rate is not None and self.learning_rate <= 0, "--learning-rate", "above 0", None),
            (not 0 <= self.popularity <= 1, "--popularity", "from 0 to 1", self.popularity),
            (not 0 < self.held_out <= 0.4, "--held-out", "above 0 and at most 0.4", self.held_out),
        ]
        for is_wrong, option, what, got in wrong:
            if is_wrong:
                got = self.learning_rate if got is None else got
                raise LongInterestError(f"{option} must be {what}; got {got}.")


@dataclass(frozen=True)
class Adapted:
    """Outcome of an adaptation. Recalls are among the held-out items that nothing was chosen by.

    Attributes:
        output: the encoder's folder.
        epochs: that were trained.
        best: the one that is kept.
        before: recall of the encoder before.
        after: recall of the adapted encoder.
        interval: 95 % interval of the difference.
        card: the model card.
    """

    output: Path
    epochs: int
    best: int
    before: float
    after: float
    interval: tuple[float, float]
    card: str
