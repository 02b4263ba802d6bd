"""RecBole's run_recbole.py with the plugin registered; without arguments: LongInterest on ml-100k.

python run_recbole_li.py --model=LongInterest --dataset=ml-100k --config_files="my.yaml" --epochs=10
"""

import sys

from recbole_longinterest.cli.main import run_script

if __name__ == "__main__":
    sys.exit(run_script())
