"""Rules for duplicate events; used by the command line, so this module imports nothing."""

DUPLICATES = {
    "keep": "none is dropped",
    "exact": "of events with the same user, item, time and behaviour the first in the files is kept",
    "first": "of events with the same user, item and behaviour the earliest is kept, of ties the first in the files",
    "last": "of events with the same user, item and behaviour the latest is kept, of ties the first in the files",
}
