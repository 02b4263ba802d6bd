"""Check the split of a cell's data when RecBole makes it."""

from dataclasses import dataclass, field

from recbole.data.dataset import Dataset

from recbole_longinterest.experiments.comparison import general
from recbole_longinterest.experiments.comparison.data import Fingerprint, Parts, fingerprint


@dataclass
class SplitCheck:
    """Compares a split with that of the earlier models, and keeps its parts.

    Attributes:
        dataset: name of the data set, for the error message.
        name: row of the comparison, for the error message.
        model: RecBole's name of the model.
        expected: fingerprint of the earlier models' data; None for the first model.
        parts: parts of the last split.
    """

    dataset: str
    name: str
    model: str
    expected: Fingerprint | None = None
    parts: Parts = field(default_factory=list)

    def __call__(self, dataset: Dataset, parts: Parts) -> Parts:
        """Return the parts to train with; a general model also learns from each user's first event.

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
