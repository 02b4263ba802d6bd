"""Time and memory of counting the transitions of a log, for the memory of transitions.

    uv run benchmarks/transitions.py --events 1000000,20000000

Zipf-distributed items, of which the most popular one has a fifth of all events; histories of about 145 events. The peak
is what the count allocates besides the log (tracemalloc), in a run that is not timed.
"""

import time
import tracemalloc
from functools import partial

import numpy as np
from common import make_parser, say

from recbole_longinterest.nn.transitions import count_transitions

HISTORY = 145  # mean number of events of a user


def main() -> None:
    """Measure and print a table."""
    parser = make_parser(__doc__)
    parser.add_argument("--events", default="1000000,20000000", help="numbers of events, with commas between them")
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--size", type=int, default=100, help="followers per item (memory_size)")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    say("| events | seconds (median) | seconds per million | peak memory, MB |\n|---|---|---|---|\n")
    for events in map(int, args.events.split(",")):
        items, first = log(events, args.items)
        known = np.ones(events, bool)
        count = partial(count_transitions, items, first, known, known, args.items, args.size)
        taken = []
        for _ in range(args.repeats):
            begun = time.perf_counter()
            count()
            taken.append(time.perf_counter() - begun)
        tracemalloc.start()
        count()
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        seconds = float(np.median(taken))
        say(f"| {events:,} | {seconds:.2f} | {seconds / events * 1e6:.2f} | {peak:.0f} |\n")


def log(events: int, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Item of each event, and position of the first event of its user."""
    rng = np.random.default_rng(0)
    items = 1 + ((rng.zipf(1.2, events) - 1) % (n_items - 1)).astype(np.int32)
    begins = np.unique(rng.integers(1, events, events // HISTORY))
    begins = np.concatenate([[0], begins]).astype(np.int32)
    return items, np.repeat(begins, np.diff(begins, append=events))


if __name__ == "__main__":
    main()
