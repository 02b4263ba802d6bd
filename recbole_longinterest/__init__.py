"""LongInterest for RecBole: importing this package registers the model and mends RecBole for today's stack.

import recbole_longinterest
from recbole.quick_start import run_recbole

run_recbole(model="LongInterest", dataset="ml-100k")
"""

from importlib.metadata import PackageNotFoundError, version

from recbole_longinterest.packages import check_recbole

check_recbole()

from recbole_longinterest import register  # noqa: E402 - needs the right RecBole

try:
    __version__ = version("recbole-longinterest")
except PackageNotFoundError:  # a copied source tree that was never installed
    __version__ = "0+unknown"

register.register()
