"""`python -m recbole_longinterest SCRIPT [ARGUMENTS]`: run an unmodified RecBole script with the plugin."""

import sys

USAGE = (
    "usage: python -m recbole_longinterest SCRIPT [ARGUMENTS], for example\n"
    "       python -m recbole_longinterest run_recbole.py --model=LongInterest --dataset=ml-100k\n"
)


def main() -> int:
    """Run the script named on the command line. Its errors and exit codes are passed on unchanged."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.stderr.write(USAGE)
        return 0 if len(sys.argv) > 1 else 2
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
