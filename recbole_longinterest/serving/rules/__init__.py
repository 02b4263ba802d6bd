"""Rules of a shop over recommendations: what may be shown, what is raised, how often, and to whom not again.

Rules stand in a yaml (:mod:`.settings` has its keys), are checked whole, are read again when the file changes, and
decide before the best items are taken, so that they hold exactly whatever ranks the items.
"""

from recbole_longinterest.serving.rules.catalogue import Catalogue
from recbole_longinterest.serving.rules.rules_file import RulesFile
from recbole_longinterest.serving.rules.selection import Selection
from recbole_longinterest.serving.rules.settings import RulesError, RuleSettings, read_rules
from recbole_longinterest.serving.rules.shop_rules import ShopRules

__all__ = ["Catalogue", "RuleSettings", "RulesError", "RulesFile", "Selection", "ShopRules", "read_rules"]
