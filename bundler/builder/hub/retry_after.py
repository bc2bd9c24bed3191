"""How long a server asks to wait: ``Retry-After`` (RFC 9110, section 10.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, out of ``Retry-After``: a number or a date (RFC 9110, section 10.2.3), by the server's clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    until, now = _date(value), _date(headers.get("Date", "")) or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds()) if until else None


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
