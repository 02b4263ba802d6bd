"""The strategy ``interest``: the model's own scores."""

import numpy as np

from recbole_longinterest.serving.candidates import NO_IDS, Ids, Ranking, Scores
from recbole_longinterest.serving.strategies.base import Context, Strategy
from recbole_longinterest.serving.visitor import Visitor

NONE: Scores = np.zeros(0, dtype=np.float32)


class Interest(Strategy):
    """Ranks all items by the model's scores after all events of the visitor, with the index if available."""

    def __init__(self, context: Context) -> None:
        self._context = context
        repeat = context.scorer.network.repeat_logit()
        self._repeat = 0.0 if repeat is None else float(repeat)

    @classmethod
    def make(cls, context: Context) -> "Interest":
        """See :meth:`Strategy.make`."""
        return cls(context)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """See :meth:`Strategy.ranking`; None before the first event."""
        if visitor.interest is None:
            return None
        ids, terms = (NO_IDS, NONE) if self._context.terms is None else self._context.terms(visitor)
        if self._repeat:
            seen = self._seen(visitor)
            known = np.concatenate([seen, ids])
            raised = np.concatenate([np.full(len(seen), self._repeat, np.float32), terms])
            ids, place = np.unique(known, return_inverse=True)
            terms = np.bincount(place, raised, len(ids)).astype(np.float32)
        return self._context.search.ranking(visitor.interest, ids, terms)

    def _seen(self, visitor: Visitor) -> Ids:
        """Return the items that the model treats as seen: of all events, or within its history limit."""
        scorer = self._context.scorer
        if scorer.served.history_limit is not None:
            return np.unique(scorer.windowed(visitor.history).item_seq)
        return np.fromiter(visitor.seen, np.int64, len(visitor.seen))
