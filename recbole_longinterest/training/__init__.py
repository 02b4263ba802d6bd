"""One run: settings, training, several processes, export."""

from recbole_longinterest.common.packages import check_recbole

check_recbole()  # before the modules of this room import it: the error says what to install
