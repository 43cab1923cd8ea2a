"""The one date format of HTTP. Python's is in the package for e-mail, which costs 0.3 MB."""

from __future__ import annotations

import time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(seconds: float) -> str:
    """`Sun, 06 Nov 1994 08:49:37 GMT`, whatever language the system speaks."""
    t = time.gmtime(seconds)
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    return f"{day}, {t.tm_mday:02} {month} {t.tm_year:04} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"


def seconds_of(text: str) -> float:
    """The time that a client's header names, in seconds since 1970; ValueError or OverflowError if it is none."""
    from email.utils import parsedate_to_datetime  # browsers ask for our pages by their ETag instead

    return parsedate_to_datetime(text).timestamp()
