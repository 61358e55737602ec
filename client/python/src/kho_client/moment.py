"""Moments and periods: one text for each value. `docs/formats/header.md`."""

from __future__ import annotations

import datetime
import re

from .errors import FormatError, excerpt

ZONE = datetime.timezone(datetime.timedelta(hours=7))
"""Vietnam's; its clocks are never changed."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{3})\+07:00", re.ASCII
)
LAST_MS = 253_402_275_599_999
"""9999-12-31T23:59:59.999+07:00, the last that the text form holds."""


def moment_text(unix_ms: int) -> str:
    """`2020-06-12T08:30:00.250+07:00`; what lies after the year 9999 becomes its last millisecond."""
    unix_ms = min(unix_ms, LAST_MS)
    # by days, so that the last hours of 9999 in UTC need no year 10000
    local = _EPOCH.replace(tzinfo=None) + datetime.timedelta(milliseconds=unix_ms + 7 * 3_600_000)
    return f"{local.year:04}-{local:%m-%dT%H:%M:%S}.{local.microsecond // 1000:03}+07:00"


def moment_ms(text: str) -> int | None:
    """Unix milliseconds of a moment's text; None for any other text."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, milli = map(int, match.groups())
    try:
        local = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    whole = (local - _EPOCH.replace(tzinfo=None)) // datetime.timedelta(seconds=1) - 7 * 3600
    return whole * 1000 + milli if whole >= 0 else None


_PERIOD = re.compile(
    r"(?P<year>[0-9]{4})"
    r"(-W(?P<week>[0-9]{2})"
    r"|-(?P<month>[0-9]{2})(-(?P<day>[0-9]{2})(T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})\+07:00)?)?"
    r"|-(?P<from>[0-9]{2})/(?P<to_year>[0-9]{4})-(?P<to>[0-9]{2}))?",
    re.ASCII,
)
YEARS = range(1900, 10_000)
"""Years that a period may name."""


def is_period(text: str) -> bool:
    """Whether a text is a period: `2020-06-12`, `2020-W24`, `2020-06`, `2020`, `2020-01/2020-03` or a date-time."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        return False
    part = {name: int(value) for name, value in match.groupdict().items() if value is not None}
    year = part["year"]
    if year not in YEARS:
        return False
    if "week" in part:
        # 28 December is always in the last week of its ISO year
        return 1 <= part["week"] <= datetime.date(year, 12, 28).isocalendar()[1]
    if "from" in part:
        months = (year, part["from"]), (part["to_year"], part["to"])
        return part["to_year"] in YEARS and all(1 <= month <= 12 for _, month in months) and months[0] < months[1]
    try:
        datetime.datetime(
            year, part.get("month", 1), part.get("day", 1), part.get("hour", 0), part.get("minute", 0), part.get("second", 0)
        )
    except ValueError:
        return False
    return True


def check_period(text: str) -> None:
    """Raises `period-invalid`."""
    if not is_period(text):
        raise FormatError(
            "period-invalid",
            f"header field period: expected a period of the grammar, found {excerpt(text)}",
            expected="a period of the grammar",
            found=excerpt(text),
        )
