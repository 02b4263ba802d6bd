"""Shop rules for recommendations: filters, boosts, limits per group, and pauses before an item is shown again.

Rules are in a yaml file (keys in :mod:`.settings`), which is validated completely and read again when it changes. They
are applied before the best items are selected, so they hold exactly for every ranking.
"""

from recbole_longinterest.serving.rules.catalogue import Catalogue
from recbole_longinterest.serving.rules.rules_file import RulesFile
from recbole_longinterest.serving.rules.selection import Selection
from recbole_longinterest.serving.rules.settings import RulesError, RuleSettings, read_rules
from recbole_longinterest.serving.rules.shop_rules import ShopRules

__all__ = ["Catalogue", "RuleSettings", "RulesError", "RulesFile", "Selection", "ShopRules", "read_rules"]
