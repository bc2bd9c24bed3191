"""Debian packages for the test bed: installed on the host, unpacked from other suites, or made into root file systems.

Three ways, all of them safe to call again (the second time costs milliseconds):

* ``install_host_packages``: with apt, in one call, without starting a service;
* ``unpack``: packages of another suite with ``dpkg -x`` into the cache, so that engines of several versions stand
  side by side; apt reads that suite with its own lists and checks its signatures;
* ``rootfs``: ``debootstrap`` into a cached tar, the base of images where no registry can be reached.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import TestbedError
from testbed.policy import no_services
from testbed.trees import workplace

HOST_PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "containerd",
    "debian-archive-keyring",
    "debootstrap",
    "docker-registry",
    "docker.io",
    "e2fsprogs",
    "git",
    "git-lfs",
    "iproute2",
    "iptables",
    "openssl",
    "podman",
    "runc",
    "skopeo",
    "umoci",
    "util-linux",
)
# runc is left out on purpose: that of Debian 13 needs a newer libseccomp than Debian 12 has; Debian 12's serves all.
ENGINE_PACKAGES = ("containerd", "docker-buildx", "docker-cli", "docker.io")
TRIXIE_PACKAGES = (*ENGINE_PACKAGES, "cosign", "debian-archive-keyring", "docker-compose")
HOST_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SCRIPTS = Path("/usr/share/debootstrap/scripts")
APT_TIMEOUT_S = 600
# Mounts and processes of a program end with it, and it with the thread that started it: debootstrap mounts /proc and
# /sys in its tree, and a kill would leave them, and its children, to the host.
_CONFINED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class Prepared:
    """One thing that the test bed has: where it stands, which versions, and the seconds that getting it took."""

    name: str
    path: Path
    versions: Mapping[str, str]
    seconds: float


def cache_dir() -> Path:
    """The folder for downloads: ``$BUNDLER_TEST_CACHE``, or ``~/.cache/bundler-testbed``; made where it lacks."""
    path = Path(os.environ.get("BUNDLER_TEST_CACHE") or Path.home() / ".cache" / "bundler-testbed")
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def require_root() -> None:
    """Raise ``TestbedError`` unless this process is root; engines are never skipped for the lack of it."""
    if os.geteuid() != 0:
        raise TestbedError("the test bed starts real container engines and needs root: run the tests as root")


def command(argv: Sequence[str], *, timeout_s: float = 120, env: Mapping[str, str] | None = None) -> str:
    """Run a program and give its standard output; ``TestbedError`` with the end of its messages if it fails."""
    try:
        done = subprocess.run(
            list(argv), capture_output=True, text=True, timeout=timeout_s, env=dict(env) if env else None, check=False
        )
    except FileNotFoundError as error:
        raise TestbedError(f"{argv[0]} is not installed; run scripts/test-engines") from error
    except subprocess.TimeoutExpired as error:
        raise TestbedError(f"{' '.join(argv)}: no end after {timeout_s} s") from error
    if done.returncode:
        tail = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise TestbedError(f"{' '.join(argv)}: exit code {done.returncode}\n{tail}")
    return done.stdout


@contextlib.contextmanager
def locked(name: str, folder: Path | None = None) -> Iterator[None]:
    """Hold the lock ``name`` of ``folder``, or the cache's: two runs on one machine do not fetch the same thing twice."""
    with ((folder or cache_dir()) / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def install_host_packages(packages: Sequence[str] = HOST_PACKAGES) -> Prepared:
    """Install with apt whatever of ``packages`` is missing, in one call and without starting services."""
    require_root()
    began = time.monotonic()
    with locked("host"):
        missing = sorted(set(packages) - set(_installed(packages)))
        if missing:
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            command(["apt-get", "-qq", "update"], timeout_s=APT_TIMEOUT_S, env=env)
            with no_services():
                options = ["-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
                command(["apt-get", *options, "install", *missing], timeout_s=APT_TIMEOUT_S, env=env)
    return Prepared("host packages", Path("/"), _installed(packages), time.monotonic() - began)


def _installed(packages: Sequence[str]) -> dict[str, str]:
    argv = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\n", *packages]
    # Its exit code is 1 as soon as one package is unknown; the lines of the others are what counts.
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    fields = (line.split() for line in lines)
    return {entry[0]: entry[2] for entry in fields if len(entry) == 3 and entry[1] == "installed"}


def unpack(suite: str, packages: Sequence[str] = ENGINE_PACKAGES) -> Prepared:
    """Fetch ``packages`` (without what they depend on) of another Debian suite and unpack them into the cache.

    ``path`` of the answer is the root they were unpacked into. Suites move: what stands in the cache is used until
    ``$BUNDLER_TEST_CACHE`` is removed, so that a test run does not change its engines halfway.
    """
    began = time.monotonic()
    key = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:8]
    root = cache_dir() / f"{suite}-{key}"
    stamp = root / "versions.json"
    with locked(root.name):
        if not stamp.exists():
            shutil.rmtree(root, ignore_errors=True)
            with workplace(root.with_suffix(".work")) as work:
                versions = _fetch(suite, packages, work)
                (work / "root" / stamp.name).write_text(json.dumps(versions, indent=1, sort_keys=True))
                (work / "root").rename(root)
    return Prepared(suite, root, json.loads(stamp.read_text()), time.monotonic() - began)


def _fetch(suite: str, packages: Sequence[str], work: Path) -> dict[str, str]:
    """Download and unpack below ``work/root``; the versions by package."""
    env = {**os.environ, "APT_CONFIG": str(_apt_configuration(suite, work))}
    debs, root = work / "debs", work / "root"
    debs.mkdir()
    root.mkdir()
    command(["apt-get", "-qq", "update"], timeout_s=APT_TIMEOUT_S, env=env)
    names = [f"{name}/{suite}" for name in packages]
    # apt-get download writes into its working directory and checks each file against the signed lists.
    command(["env", "-C", str(debs), "apt-get", "-qq", "download", *names], timeout_s=APT_TIMEOUT_S, env=env)
    versions = {}
    for deb in sorted(debs.glob("*.deb")):
        command(["dpkg", "-x", str(deb), str(root)])
        name, version = command(["dpkg-deb", "-W", "--showformat", "${Package} ${Version}", str(deb)]).split()
        versions[name] = version
    return versions


def _apt_configuration(suite: str, work: Path) -> Path:
    """Write an apt configuration for one suite alone, with its own lists; the host's stay as they are."""
    for folder in ("lists/partial", "cache/archives/partial", "empty.d"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={_keyring(suite)}] {_mirror()} {suite} main\n")
    lines = {
        "Dir::State": work,
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": work / "empty.d",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": work / "empty.d",
        "Acquire::Languages": "none",
        # The cache may lie below /root, where apt's own user cannot go; signatures are checked all the same.
        "APT::Sandbox::User": "root",
    }
    path = work / "apt.conf"
    path.write_text("".join(f'{name} "{value}";\n' for name, value in lines.items()))
    return path


def _keyring(suite: str) -> Path:
    """The keys that a suite's signature is checked with: each suite vouches for the next one's.

    Debian 12's keyring holds the keys of 13; those of later suites come from 13's own keyring package.
    """
    if suite in {"bullseye", "bookworm", "trixie"}:
        return HOST_KEYRING
    return unpack("trixie", TRIXIE_PACKAGES).path / "usr/share/keyrings/debian-archive-keyring.gpg"


def _mirror() -> str:
    """The mirror that the host itself uses for Debian; ``TestbedError`` on a host that uses none."""
    found = _own_mirror()
    if found is None:
        raise TestbedError("apt knows no Debian mirror: run apt-get update, then look at apt-get indextargets")
    return found


def _own_mirror() -> str | None:
    out = command(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
    for line in out.splitlines():
        origin, label, address = line.split("|", 2)
        if (origin, label) == ("Debian", "Debian"):
            return address
    return None


def rootfs(suite: str, include: Sequence[str] = ()) -> Prepared:
    """A minimal Debian of ``suite`` with the packages ``include`` as an uncompressed tar in the cache.

    Without downloaded packages and lists, so that an image made of it holds nothing that changes by itself.
    """
    began = time.monotonic()
    key = hashlib.sha256(" ".join(sorted(include)).encode()).hexdigest()[:8]
    tar = cache_dir() / f"rootfs-{suite}-{key}.tar"
    stamp = tar.with_suffix(".json")
    with locked(tar.stem):
        if not (tar.exists() and stamp.exists()):
            require_root()
            with workplace(tar.with_suffix(".work")) as work:
                versions = _bootstrap(suite, include, work / "root")
                stamp.write_text(json.dumps(versions, indent=1, sort_keys=True))
                pack(work / "root", tar)
    return Prepared(tar.stem, tar, json.loads(stamp.read_text()), time.monotonic() - began)


def python_rootfs() -> Prepared:
    """A Debian 12 with its Python and ``venv``, as recipes start from one; see ``rootfs``."""
    return rootfs("bookworm", ("ca-certificates", "python3-venv"))


def pack(root: Path, tar: Path) -> None:
    """Write the root file system at ``root`` as a tar, which is there when it is whole."""
    partial = tar.with_suffix(".partial")
    argv = ["tar", "--create", "--numeric-owner", "--one-file-system", "--sort=name"]
    command([*argv, "--file", str(partial), "--directory", str(root), "."], timeout_s=300)
    partial.rename(tar)


def _bootstrap(suite: str, include: Sequence[str], root: Path) -> dict[str, str]:
    argv = [*_CONFINED, "debootstrap", "--variant=minbase", f"--keyring={_keyring(suite)}"]
    argv += [f"--include={','.join(include)}"] if include else []
    if (SCRIPTS / suite).exists():
        # Ubuntu's apt knows no mirror of Debian; debootstrap has one of its own.
        place = [mirror] if (mirror := _own_mirror()) else []
    else:
        place = [_mirror(), str(SCRIPTS / "sid")]  # a suite younger than this debootstrap; the script of sid fits
    command([*argv, suite, str(root), *place], timeout_s=APT_TIMEOUT_S)
    for pattern in ("var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*_*", "var/log/*.log"):
        for path in root.glob(pattern):
            path.unlink()
    out = command(["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"])
    versions = dict(line.split() for line in out.splitlines())
    return {name: versions[name] for name in ("base-files", "python3", *include) if name in versions}
