"""One run: settings, training, several processes, export."""

from recbole_longinterest.common.packages import check_recbole

check_recbole()  # before other modules import RecBole, so that its error says what to install
