"""The kit on the medium: which files belong to it, and whether they are as its ``SHA256SUMS`` says.

A kit is the directory that travels; a bare ``.tar`` without its kit can be read too, and is then covered by nothing
but its own sums.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bundler.core.checksums import parse_sums
from bundler.core.digest import Digest
from bundler.core.errors import (
    CHANGED,
    EXTRA,
    MISSING,
    BundleError,
    PreconditionError,
    Problem,
    SignatureError,
    UsageError,
)
from bundler.core.layout import HEAD, HEAD_MEMBERS, SHA256SUMS

MAX_SUMS_SIZE = 16 << 20
MAX_FILES = 100_000
_REMEDY = "bring the kit here again, whole and unchanged"
#: Of a file beside the kit's own; what is too much inside of the bundle is damage.
_REMOVE = "remove it"


@dataclass(frozen=True)
class TrustPolicy:
    """What a host demands of a kit beside its integrity. Signatures are not demanded yet."""


@dataclass(frozen=True)
class Kit:
    """A kit: ``directory`` (None for a bare tar), the tar, and the sums of all its files by name."""

    directory: Optional[Path]
    tar: Path
    sums: Mapping[str, Digest]

    @property
    def tar_sum(self) -> Optional[Digest]:
        """What the whole tar should hash to; None for a bare tar."""
        return self.sums.get(self.tar.name) if self.directory else None


def locate_kit(path: Path, policy: TrustPolicy) -> Kit:
    """The kit at ``path``: a directory, or a tar alone. Reads the list of sums, nothing else.

    Raises PreconditionError where something is missing, BundleError where ``path`` is no kit, SignatureError where
    the kit carries signatures, which this release cannot check.
    """
    del policy  # nothing to demand yet: the seam for a host's keys
    try:
        if not path.exists():
            raise PreconditionError(
                "there is no such file or directory",
                where=str(path),
                remedy="name the kit's directory, or its .tar",
                difference=MISSING,
            )
        if not path.is_dir():
            return Kit(None, path, {})
        return _locate_directory(path)
    except OSError as error:
        raise PreconditionError(
            f"cannot be read: {error.strerror}", where=str(path), remedy="check permissions and the medium"
        ) from error


def _locate_directory(directory: Path) -> Kit:
    sums_path = directory / SHA256SUMS
    if not sums_path.is_file():
        raise BundleError(
            "not a kit: it holds no SHA256SUMS",
            where=str(directory),
            remedy="name the directory that bundler build wrote",
            difference=MISSING,
        )
    if sums_path.stat().st_size > MAX_SUMS_SIZE:
        raise BundleError("a list of checksums of that size is not bundler's", where=str(sums_path), remedy=_REMEDY)
    if signatures := sorted(entry.name for entry in directory.glob(f"{SHA256SUMS}.*.sig")):
        raise SignatureError(
            f"this release of bundler cannot check signatures ({', '.join(signatures)})",
            where=str(directory),
            remedy="use a bundler that can: a signature that nobody checks is no signature",
            difference=EXTRA,
        )
    sums = parse_sums(sums_path.read_bytes(), str(sums_path))
    tars = [name for name in sums if name.endswith(".tar") and "/" not in name]
    if len(tars) != 1:
        raise BundleError("it lists no bundle, or more than one", where=str(sums_path), remedy=_REMEDY)
    if not (directory / tars[0]).is_file():
        raise PreconditionError(
            f"the bundle {tars[0]} is missing",
            where=str(directory),
            remedy="copy the whole kit",
            difference=MISSING,
        )
    return Kit(directory, directory / tars[0], sums)


def require_outside_kits(path: Path, option: str) -> None:
    """Raise UsageError where ``path``, which is to be written for ``option``, stands inside of a kit.

    A kit with one more file is no longer as its SHA256SUMS says, and is refused by everything that reads kits.
    """
    place = Path(os.path.realpath(path))  # as resolve(), without raising for links that lead in a circle
    for directory in (place, *place.parents):
        if os.path.isfile(directory / SHA256SUMS) and os.path.isdir(directory / HEAD):  # noqa: PTH112, PTH113 - they never raise
            raise UsageError(
                f"nothing can be written inside the kit {directory.name}: it would no longer be as its SHA256SUMS says",
                where=str(path),
                remedy=f"name another place with {option}",
            )


def audit_kit_files(kit: Kit) -> list[Problem]:
    """Every file of the kit but the tar against its sum: what is missing, what is extra, what was changed.

    The tar is left to whoever reads it anyway.
    """
    if kit.directory is None:
        return []
    found = _files_of(kit.directory)
    listed = set(kit.sums)
    head = set(_unlisted_head(listed))
    problems = [Problem(name, "listed in SHA256SUMS, but missing", _REMEDY, MISSING) for name in sorted(listed - found)]
    problems += [
        Problem(name, "not listed in SHA256SUMS", _REMOVE, EXTRA)
        for name in sorted(found - listed - head - {SHA256SUMS})
    ]
    problems += [
        Problem(name, "not listed in SHA256SUMS", _REMEDY, EXTRA if name in found else MISSING) for name in sorted(head)
    ]
    for name in sorted(listed & found - {kit.tar.name}):
        problems += _content_problems(kit.directory / name, name, kit.sums[name])
    return problems


def remedy_of(problems: Sequence[Problem]) -> str:
    """What is to be done about what ``audit_kit_files`` found: a file too many is no reason to copy a kit again."""
    if all(problem.remedy == _REMOVE for problem in problems):
        return "nothing of the kit itself is damaged: move what does not belong to it out of its directory"
    return f"{_REMEDY}; if it was copied, compare with the original medium"


def _content_problems(path: Path, name: str, expected: Digest) -> list[Problem]:
    try:
        with path.open("rb") as stream:
            found = Digest.of_stream(stream)
    except OSError as error:
        return [Problem(name, f"cannot be read: {error.strerror}", "check permissions and the medium", CHANGED)]
    if found == expected:
        return []
    return [Problem(name, "changed: its digest is not the one in SHA256SUMS", _REMEDY, CHANGED)]


def _unlisted_head(listed: set[str]) -> list[str]:
    return [f"{HEAD}/{name}" for name in HEAD_MEMBERS if f"{HEAD}/{name}" not in listed]


def _files_of(directory: Path) -> set[str]:
    """Every name below ``directory`` that is not a directory; links are not followed and count as files."""
    names: set[str] = set()

    def unlisted(error: OSError) -> None:
        relative = Path(error.filename).relative_to(directory).as_posix()
        names.add(f"{relative} (cannot be listed: {error.strerror})")

    for root, subdirectories, files in os.walk(directory, onerror=unlisted):
        base = Path(root)
        links = [name for name in subdirectories if (base / name).is_symlink()]
        for name in (*files, *links):
            path = base / name
            regular = path.is_file() and not path.is_symlink()
            relative = path.relative_to(directory).as_posix()
            names.add(relative if regular else f"{relative} (not a regular file)")
            if len(names) > MAX_FILES:
                raise BundleError(
                    "more files than a kit can have", where=str(directory), remedy="name the kit's directory"
                )
    return names
