"""LongInterest for RecBole: importing this package registers the model and mends RecBole for today's stack.

import recbole_longinterest
from recbole.quick_start import run_recbole

run_recbole(model="LongInterest", dataset="ml-100k")

A process that only serves an exported model may set ``RECBOLE_LI_REGISTER=off`` in its environment: then RecBole is not
imported, and need not be installed.
"""

import os
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("recbole-longinterest")
except PackageNotFoundError:  # a copied source tree that was never installed
    __version__ = "0+unknown"

if os.environ.get("RECBOLE_LI_REGISTER", "on").lower() not in ("off", "0", "false"):
    from recbole_longinterest.common.packages import check_recbole

    check_recbole()

    from recbole_longinterest.plugin import register

    register.register()
