"""The command line: one module per command."""

from recbole_longinterest.cli.interrupts import watch_program

watch_program()  # before the slow imports
