"""Whether the user that an image runs as may read what stands in it.

It is judged by what the image says, before anything runs: its ``User``, its ``/etc/passwd`` and ``/etc/group`` as an
engine reads them (Docker, "USER": a name, a number, or ``user:group``), and the modes of directories and files.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Optional

from bundler.core.docker_api import EngineRefusedError
from bundler.installer.engine import Container, ImageConfig

#: Who runs checks of images whose user is root: nobody, by number, whether the image knows them or not.
NOBODY = "65534:65534"
_READ, _PASS = 4, 1
_MAX_ACCOUNTS_SIZE = 1 << 20


@dataclass(frozen=True)
class ImageUser:
    """Who a container runs as."""

    told: str
    uid: int
    gids: frozenset[int]

    def may_read(self, entry: tarfile.TarInfo) -> bool:
        """Whether they may read the file, or list and pass the directory."""
        return self._may(entry, _READ | _PASS if entry.isdir() else _READ)

    def may_pass(self, entry: tarfile.TarInfo) -> bool:
        """Whether they may go through the directory."""
        return self._may(entry, _PASS)

    def _may(self, entry: tarfile.TarInfo, bits: int) -> bool:
        if self.uid == 0:
            return True
        shift = 6 if entry.uid == self.uid else 3 if entry.gid in self.gids else 0
        return (entry.mode >> shift) & bits == bits


def user_for_checks(config: ImageConfig) -> Optional[str]:
    """As whom checks run that name no user: the image's own (None), but never root."""
    return NOBODY if config.user.partition(":")[0] in {"", "0", "root"} else None


def image_user(container: Container, user: str) -> Optional[ImageUser]:
    """The user ``user`` of an image (empty: root); None where the image does not know the name."""
    name, _, group = user.partition(":")
    accounts = list(_rows(container, "/etc/passwd"))
    groups = list(_rows(container, "/etc/group"))
    account = next((row for row in accounts if name in {row[0], row[2]}), None)
    if account is None and not name.isdecimal() and name:
        return None
    uid = int(account[2]) if account else int(name or 0)
    gid = _group(group, groups) if group else int(account[3]) if account and account[3].isdecimal() else 0
    if gid is None:
        return None
    member = {int(row[2]) for row in groups if account and not group and account[0] in row[3].split(",")}
    return ImageUser(user or "root", uid, frozenset({gid, *member}))


def _group(group: str, groups: list[list[str]]) -> Optional[int]:
    known = next((int(row[2]) for row in groups if row[0] == group), None)
    return known if known is not None else int(group) if group.isdecimal() else None


def _rows(container: Container, path: str) -> Iterator[list[str]]:
    """The accounts in a file whose third field is a number; none where there is no such file."""
    try:
        text = _text(container, path)
    except EngineRefusedError as error:
        if error.status != 404:
            raise
        return
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) > 3 and fields[2].isdecimal():
            yield fields


def _text(container: Container, path: str) -> str:
    with container.archive(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        member = archive.next()
        opened = archive.extractfile(member) if member and member.isreg() else None
        return opened.read(_MAX_ACCOUNTS_SIZE).decode(errors="replace") if opened else ""


def closed_parents(container: Container, path: str, user: ImageUser) -> list[str]:
    """The directories above ``path`` that the user may not go through."""
    parents = [str(parent) for parent in PurePosixPath(path).parents if str(parent) != "/"]
    return [parent for parent in reversed(parents) if not _is_open(container, parent, user)]


def _is_open(container: Container, path: str, user: ImageUser) -> bool:
    """Of what stands at ``path`` only the first header is read, not what is below it."""
    try:
        with container.archive(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            entry = archive.next()
            return entry is None or user.may_pass(entry)
    except EngineRefusedError as error:
        if error.status != 404:  # what is not there is told elsewhere
            raise
        return True
