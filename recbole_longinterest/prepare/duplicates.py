"""Rules for duplicate events; used by the command line, so this module imports nothing."""

DUPLICATES = {
    "keep": "keep all events",
    "exact": "of events with the same user, item, time and behaviour, keep the first in the files",
    "first": "keep the earliest event of each user, item and behaviour (at equal times, the first in the files)",
    "last": "keep the latest event of each user, item and behaviour (at equal times, the first in the files)",
}
