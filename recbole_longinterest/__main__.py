"""`python -m recbole_longinterest`: a command of `recbole-li`, or an unmodified RecBole script with the plugin."""

import sys
from pathlib import Path

from recbole_longinterest.cli import main as command_line

USAGE = (
    "usage: python -m recbole_longinterest COMMAND [ARGUMENTS], the same as recbole-li COMMAND\n"
    "       python -m recbole_longinterest SCRIPT [ARGUMENTS], a script of RecBole with the plugin, for example\n"
    "       python -m recbole_longinterest run_recbole.py --model=LongInterest --dataset=ml-100k\n"
)


def main() -> int:
    """Run the command or script named first. A script's errors and exit codes are passed on unchanged."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.stderr.write(USAGE)
        return 0 if len(sys.argv) > 1 else 2
    if sys.argv[1] in command_line.COMMANDS and not Path(sys.argv[1]).is_file():
        return command_line.main(sys.argv[1:])
    from recbole_longinterest.plugin.scripts import run_script  # saves start-up time: torch

    try:
        run_script(sys.argv[1], sys.argv[2:])
    except FileNotFoundError as error:
        if error.errno is not None:  # raised by the script itself
            raise
        sys.stderr.write(f"recbole_longinterest: error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
