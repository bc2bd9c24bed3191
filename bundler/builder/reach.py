"""Whether the user of an image can walk to a path: accounts as the layers have them, and POSIX permission bits.

Source: moby ``daemon/.../user``: ``User`` is a name or number with an optional group; without a group it has those
that ``/etc/passwd`` and ``/etc/group`` give, and a number that stands in neither has group 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bundler.builder.layer_scan import Parts

_EXECUTE = 0o1


@dataclass(frozen=True)
class Folder:
    """Mode and owner of a directory."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Account:
    """A user as the kernel sees one."""

    uid: int
    gids: frozenset[int]


def find_account(user: str, accounts: Mapping[str, str]) -> Account | None:
    """The account that ``User`` of a config means; None where it names one that does not exist."""
    name, _, group = (user or "0").partition(":")
    rows = [row.split(":") for row in accounts.get("etc/passwd", "").splitlines()]
    entry = next((row for row in rows if len(row) >= 4 and name in (row[0], row[2])), None)
    uid = _number(entry[2]) if entry else _number(name)
    if uid is None:
        return None
    if group:
        gid = _group(group, accounts)
        return None if gid is None else Account(uid, frozenset({gid}))
    primary = (_number(entry[3]) or 0) if entry else 0
    return Account(uid, frozenset({primary, *(_memberships(entry[0], accounts) if entry else ())}))


def _group(group: str, accounts: Mapping[str, str]) -> int | None:
    rows = [row.split(":") for row in accounts.get("etc/group", "").splitlines()]
    found = next((row[2] for row in rows if len(row) >= 3 and group in (row[0], row[2])), group)
    return _number(found)


def _memberships(name: str, accounts: Mapping[str, str]) -> list[int]:
    rows = [row.split(":") for row in accounts.get("etc/group", "").splitlines()]
    found = [_number(row[2]) for row in rows if len(row) >= 4 and name in row[3].split(",")]
    return [gid for gid in found if gid is not None]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def barrier(account: Account, path: Parts, folders: Mapping[Parts, Folder]) -> tuple[Parts, Folder] | None:
    """The first directory on the way to (and at) ``path`` that the account may not walk through."""
    if account.uid == 0:
        return None
    for count in range(len(path) + 1):
        folder = folders.get(path[:count], Folder())
        shift = 6 if account.uid == folder.uid else 3 if folder.gid in account.gids else 0
        if not folder.mode >> shift & _EXECUTE:
            return path[:count], folder
    return None
