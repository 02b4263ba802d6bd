"""Read dates in ISO 8601, in the same forms on every Python."""

import re
from datetime import datetime


def iso_date(text: str) -> datetime:
    """Read a date or a moment: ``2024-01-31``, ``2024-01``, ``2024-01-31T12:00:00.5Z`` or another form of ISO 8601.

    Raises:
        ValueError: for another text, and for a year alone.
    """
    text = text.strip()
    if len(text) < len("2024-01"):
        raise ValueError(f"{text!r} is no ISO date")
    try:
        return datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))  # fast, but Python 3.10 reads few forms
    except ValueError:
        from dateutil.parser import isoparse  # late: rarely needed

        try:
            moment: datetime = isoparse(text)
        except OverflowError as error:
            raise ValueError(f"{text!r} is after the last date") from error
        return moment
