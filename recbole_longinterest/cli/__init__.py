"""The command line: one module a command."""

from recbole_longinterest.cli.interrupts import watch_program

watch_program()  # before the imports that take their time
