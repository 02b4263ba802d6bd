"""Strategies to choose items for a visitor; every recommended item has the name of its strategy.

``interest``, ``similar``, ``content``, ``together``, ``popular`` and ``new`` are built in. To add a strategy, register
a subclass of :class:`Strategy` under a name:

    from recbole_longinterest.serving.strategies import Strategy, register_strategy

    register_strategy("mine", MyStrategy)

An installed package can register its strategy for the commands with an entry point in the group
``recbole_longinterest.strategies``; the entry point's name is the strategy's name, its value the class.
"""

from recbole_longinterest.serving.strategies.answers import Answer, Suggested
from recbole_longinterest.serving.strategies.bandit import Bandit
from recbole_longinterest.serving.strategies.base import Context, Strategy
from recbole_longinterest.serving.strategies.content import Content
from recbole_longinterest.serving.strategies.interest import Interest
from recbole_longinterest.serving.strategies.new import New
from recbole_longinterest.serving.strategies.popular import Popular
from recbole_longinterest.serving.strategies.registry import register_strategy, strategy_names, strategy_of
from recbole_longinterest.serving.strategies.shop import Shop
from recbole_longinterest.serving.strategies.similar import Similar
from recbole_longinterest.serving.strategies.together import Together
from recbole_longinterest.serving.strategies.transitions import Followers, Transitions

register_strategy("interest", Interest)
register_strategy("similar", Similar)
register_strategy("content", Content)
register_strategy("together", Together)
register_strategy("popular", Popular)
register_strategy("new", New)

__all__ = [
    "Answer",
    "Bandit",
    "Context",
    "Followers",
    "Shop",
    "Strategy",
    "Suggested",
    "Transitions",
    "register_strategy",
    "strategy_names",
    "strategy_of",
]
