"""Read dates in ISO 8601, in the same forms on every Python."""

import re
from datetime import datetime


def iso_date(text: str) -> datetime:
    """Read a date or a moment: ``2024-01-31``, ``20240131``, ``2024-01``, ``2024-01-31T12:00:00.5Z``.

    Raises:
        ValueError: for another form.
    """
    text = text.strip()
    try:
        return datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))  # fast, but Python 3.10 reads few forms
    except ValueError:
        from dateutil.parser import isoparse  # late: rarely needed

        moment: datetime = isoparse(text)
        return moment
