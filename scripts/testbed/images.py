"""Base images without a registry: from the host's static busybox, or from a root file system that debootstrap made."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed import TestbedError
from testbed.engines import RunningEngine

BUSYBOX = Path("/bin/busybox")
# What tests call; the rest is reached with "busybox NAME".
APPLETS = (
    *("awk", "cat", "chmod", "chown", "cp", "cut", "dd", "echo", "env", "false", "find", "grep", "head", "id", "ip"),
    *("ln", "ls", "md5sum", "mkdir", "mount", "mv", "nc", "nslookup", "ping", "ps", "pwd", "readlink", "rm", "rmdir"),
    *("sed", "seq", "sh", "sha256sum", "sleep", "sort", "stat", "tail", "tar", "test", "touch", "tr", "true", "wc"),
    *("wget", "whoami"),
)


def busybox_image(engine: RunningEngine, tag: str) -> str:
    """Import an image of 2 MB that holds busybox and links for the usual programs; its id as the engine gives it."""
    with tempfile.TemporaryDirectory(prefix="busybox-") as work:
        tar = Path(work) / "rootfs.tar"
        write_busybox(tar)
        return _import(engine, tar, tag, ["ENV PATH=/bin", 'CMD ["sh"]'])


def debian_image(engine: RunningEngine, rootfs_tar: Path, tag: str) -> str:
    """Import a root file system of ``testbed.debian.rootfs``; its id as the engine gives it."""
    return _import(engine, rootfs_tar, tag, ["ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["bash"]'])


def write_busybox(tar: Path) -> None:
    """Write the root file system with busybox as a tar; the same bytes each time, so layers are shared."""
    if not BUSYBOX.exists():
        raise TestbedError(f"{BUSYBOX} of busybox-static is not there; run scripts/test-engines")
    with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            archive.addfile(_entry(name, tarfile.DIRTYPE, mode))
        program = _entry("bin/busybox", tarfile.REGTYPE, 0o755)
        program.size = BUSYBOX.stat().st_size
        with BUSYBOX.open("rb") as stream:
            archive.addfile(program, stream)
        for applet in APPLETS:
            link = _entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            archive.addfile(link)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def _import(engine: RunningEngine, tar: Path, tag: str, changes: Sequence[str]) -> str:
    options = [option for change in changes for option in ("--change", change)]
    return engine.docker("import", *options, str(tar), tag).strip()
