"""The split of a cell's data, checked when RecBole makes it."""

from dataclasses import dataclass, field

from recbole.data.dataset import Dataset

from recbole_longinterest.experiments.comparison import general
from recbole_longinterest.experiments.comparison.data import Fingerprint, Parts, fingerprint


@dataclass
class SplitCheck:
    """Checks a split against that of the models before, and keeps its parts.

    Attributes:
        dataset: name of the data set, for the error.
        name: row of the comparison, likewise.
        model: RecBole's name of the model.
        expected: what the data of the models before is, None for the first model.
        parts: of the last split, as the data set has made them.
    """

    dataset: str
    name: str
    model: str
    expected: Fingerprint | None = None
    parts: Parts = field(default_factory=list)

    def __call__(self, dataset: Dataset, parts: Parts) -> Parts:
        """The parts to train with: a general model learns from each user's first event, too.

        Raises:
            DataMismatch: if the split is not the expected one.
        """
        self.parts = parts
        found = fingerprint(dataset, parts)
        if self.expected is not None:
            self.expected.check(found, self.dataset, self.name)
        if general.is_general(self.model):
            return [general.with_first_events(parts[0]), *parts[1:]]
        return parts
