"""Puts ``bundler.pyz`` together: our sources that travel, the pinned wheels, and a start.

Every member is byte for byte a file of this checkout or of a pinned wheel; left out of the wheels are only what no
supported Python loads (zstandard's second back end) and what records an installation that does not take place.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from loader import imports
from loader.archive import Member, wheel_members, write_archive
from loader.wheels import REQUIREMENTS, LoaderError, cached_wheels

ROOT = Path(__file__).resolve().parents[2]
LOADER = Path("bundler/loader/bundler.pyz")
INPUTS_MEMBER = "INPUTS.sha256"
# The commands that a person on the isolated host types; a command that is not written yet does not travel.
COMMANDS = ("install", "check", "verify", "inspect", "audit", "report")
_WHOLE_PACKAGES = ("bundler/core", "bundler/installer")
_FORBIDDEN = "bundler.builder"
_SHEBANG = b"#!/usr/bin/env python3\n"
_LEFT_OUT = re.compile(
    r"zstandard/_cffi\.|zstandard/backend_cffi\.py$|\.dist-info/(RECORD|INSTALLER|direct_url\.json)$"
)
# Understood by every Python since 2.7, so that an old one is told what to do instead of shown a syntax error.
_MAIN = b"""\
import sys

if sys.version_info < (3, 9):
    sys.stderr.write(
        "bundler.pyz needs Python 3.9 or newer; this is %d.%d.\\n" % sys.version_info[:2]
        + "where: %s\\n" % sys.executable
        + "do: look for a newer one (ls /usr/bin/python3.*) and run `python3.X bundler.pyz` with it\\n"
    )
    sys.exit(10)

from bundler.loader.start import main

main(__loader__)
"""


def build_loader(output: Path, *, root: Path = ROOT, force: bool = False) -> bool:
    """Make ``output`` unless it was made from the same inputs; says whether it was made."""
    sources = own_sources(root)
    inputs = _digest_of_inputs(sources)
    if not force and _inputs_of(output) == inputs:
        return False
    members = {name: Member.stored(content) for name, content in sources.items()}
    members[INPUTS_MEMBER] = Member.stored(inputs.encode() + b"\n")
    for wheel in cached_wheels():
        for name, member in wheel_members(wheel):
            if not _LEFT_OUT.search(name):
                _add(members, name, member, wheel)
    _write(output, members)
    return True


def own_sources(root: Path) -> dict[str, bytes]:
    """What the loader holds besides wheels, by member name."""
    paths = {str(path.relative_to(root)): path for path in travelling(root)}
    sources = {name: path.read_bytes() for name, path in paths.items()}
    sources["LICENSE"] = (root / "LICENSE").read_bytes()
    sources["certifi/__init__.py"] = Path(__file__).with_name("host_certificates.py").read_bytes()
    sources["__main__.py"] = _MAIN
    return sources


def travelling(root: Path) -> Iterator[Path]:
    """Core and installer whole, and of the rest what the travelling commands import; never the builder."""
    known = imports.modules(root)
    roots = ["bundler.loader.start", "bundler.cli.main", *(f"bundler.cli.{name}" for name in COMMANDS)]
    whole = [path for package in _WHOLE_PACKAGES for path in sorted((root / package).rglob("*")) if path.is_file()]
    whole = [path for path in whole if "__pycache__" not in path.parts]
    roots += [name for name, path in known.items() if path in whole]
    reached = imports.closure(roots, known)
    for name, way in reached.items():
        if name == _FORBIDDEN or name.startswith(_FORBIDDEN + "."):
            raise LoaderError(f"the loader must not carry the builder, but it is imported: {' -> '.join(way)}")
    yield from sorted({*whole, *(known[name] for name in reached)})


def _digest_of_inputs(sources: dict[str, bytes]) -> str:
    makers = {str(path): path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))}
    parts = [*sources.items(), (REQUIREMENTS.name, REQUIREMENTS.read_bytes())]
    parts += [(Path(name).name, content) for name, content in makers.items()]
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(parts))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _inputs_of(output: Path) -> str:
    try:
        with zipfile.ZipFile(output) as archive:
            return archive.read(INPUTS_MEMBER).decode().strip()
    except (OSError, KeyError, zipfile.BadZipFile):
        return ""


def _add(members: dict[str, Member], name: str, member: Member, wheel: Path) -> None:
    """The wheels of one package for several Pythons share their Python files; those must be equal."""
    if name.endswith(".dist-info/WHEEL") and name in members:
        return  # tells which Python the wheel is for, and nobody reads it in an archive
    if members.setdefault(name, member).crc != member.crc:
        raise LoaderError(f"{wheel.name} brings another {name} than a wheel before it; pin wheels of one release")


def _write(output: Path, members: dict[str, Member]) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=output.parent, prefix=".bundler.pyz-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write_archive(file, members, prefix=_SHEBANG)
            os.fchmod(file.fileno(), 0o755)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(output)
    except BaseException:
        Path(temporary).unlink()
        raise


def main(arguments: Sequence[str]) -> int:
    """Make the loader of this checkout; ``--force`` makes it even if nothing changed."""
    unknown = [argument for argument in arguments if argument != "--force"]
    if unknown:
        print("usage: scripts/build-loader [--force]")
        return 2
    output = ROOT / LOADER
    try:
        made = build_loader(output, force="--force" in arguments)
    except LoaderError as error:
        print(f"build-loader: {error}")
        return 1
    size_mb = output.stat().st_size / 1e6
    print(f"{output.relative_to(ROOT)}: {'made' if made else 'up to date'}, {size_mb:.1f} MB")
    return 0
