"""Sources of event features, and sources of item vectors.

To add an event feature: subclass :class:`EventSource` in a module of your own, call :func:`register_event_source`,
and set ``event_features: [{column: kind}]``. To add item vectors: call
:func:`recbole_longinterest.data.item_sources.register_item_source`.
"""

from recbole_longinterest.nn.sources.base import (
    EVENT_SOURCES,
    Column,
    EventSource,
    SourceSpec,
    register_event_source,
    usable_name,
)
from recbole_longinterest.nn.sources.item_source import ItemMatrix, ItemSource, ItemTable, MatrixSource
from recbole_longinterest.nn.sources.numbers import Number, Rating, TimeGap
from recbole_longinterest.nn.sources.tokens import Behavior, Token, Tokens

__all__ = [
    "EVENT_SOURCES",
    "Behavior",
    "Column",
    "EventSource",
    "ItemMatrix",
    "ItemSource",
    "ItemTable",
    "MatrixSource",
    "Number",
    "Rating",
    "SourceSpec",
    "TimeGap",
    "Token",
    "Tokens",
    "register_event_source",
    "usable_name",
]

register_event_source("rating", Rating)
register_event_source("behavior", Behavior)
register_event_source("time", TimeGap)
register_event_source("number", Number)
register_event_source("token", Token)
register_event_source("tokens", Tokens)
