"""Approximate nearest neighbour search: find the best items by dot product without scoring every item.

An index is built when a model is exported (``export --index``) and stores the item vectors in eight bits. It returns
candidates: :mod:`.search` computes their exact scores, and searches deeper if rules, seen items, boosts or a memory
could change the order.
"""

from recbole_longinterest.serving.index.build import KINDS, chosen_kind, write_index
from recbole_longinterest.serving.index.files import index_kind, load_index
from recbole_longinterest.serving.index.search import VectorSearch

__all__ = ["KINDS", "VectorSearch", "chosen_kind", "index_kind", "load_index", "write_index"]
