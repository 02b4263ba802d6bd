"""Approximate search among many items: the best by dot product without a score for every item.

An index is built when a model is exported (``export --index``) and holds the items' vectors in eight bits. What it
finds are candidates: :mod:`.search` gives them their exact scores, and looks again where rules, seen items, factors or
a memory could change the order.
"""

from recbole_longinterest.serving.index.build import KINDS, chosen_kind, write_index
from recbole_longinterest.serving.index.files import index_kind, load_index
from recbole_longinterest.serving.index.search import VectorSearch

__all__ = ["KINDS", "VectorSearch", "chosen_kind", "index_kind", "load_index", "write_index"]
