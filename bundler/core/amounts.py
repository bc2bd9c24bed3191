"""Sizes, times and dates as people read them."""

from __future__ import annotations

from datetime import datetime, timezone

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def human_size(size: int) -> str:
    """``size`` bytes with at most one decimal: ``512 B``, ``1.5 MiB``."""
    value, unit = float(size), _UNITS[0]
    for larger in _UNITS[1:]:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:,.1f} {unit}"


def human_time(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def human_date(moment: str) -> str:
    """``26 November 2026, 22:41 UTC`` for a moment as RFC 3339 has it; what is none stays as it is."""
    try:
        found = datetime.fromisoformat(moment).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return moment
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year}, {found:%H:%M} UTC"
