"""Programs of the host that the demo needs: which package has them, and the engine that is started from them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from demo_steps.stage import Stage, Step, StepError
from testbed.debian import HOST_KEYRING, command, install_host_packages
from testbed.engines import DATA_DIR, EngineKind

#: Programs, and the package of Debian and Ubuntu that brings each.
PROGRAMS = {
    "containerd": "containerd",
    "debootstrap": "debootstrap",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "iptables": "iptables",
    "mkfs.ext4": "e2fsprogs",
    "nsenter": "util-linux",
    "runc": "runc",
    "setpriv": "util-linux",
}
PLUGIN_FOLDERS = ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins")
SEARCHED = "/usr/sbin:/usr/bin:/sbin:/bin"  # where the test bed starts engines from
#: Of the file system in a file that an engine gets where its store cannot stand on the host's own; it is sparse.
DISK_SIZE = 12 << 30


@dataclass(frozen=True)
class HostEngine(EngineKind):
    """Docker as this host has it, whatever release that is."""

    def root(self) -> Path:
        """The host's own root: ``require_programs`` has seen to it."""
        return Path("/")

    def buildx(self) -> Path | None:
        """The host's plug-in, if it has one; without it the classic builder builds."""
        found = (Path(folder, "docker-buildx") for folder in PLUGIN_FOLDERS)
        return next((path for path in found if path.exists()), None)


HOST_ENGINE = HostEngine("demo", None, "overlay2")


def require_programs(stage: Stage) -> None:
    """As root, install what this host lacks from its distribution's packages; services are not started."""
    with stage.step("Programs of this host") as step:
        packages = {package for program, package in PROGRAMS.items() if shutil.which(program, path=SEARCHED) is None}
        if not HOST_KEYRING.exists():
            packages.add(HOST_KEYRING.stem)
        _install(step, packages)
        if shutil.which("docker", path=SEARCHED) is None:
            _install(step, {"docker-cli"})  # a package of its own since Debian 13
        if not packages:
            step.say("all there")


def _install(step: Step, packages: set[str]) -> None:
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise StepError(f"this host has no apt-get\ndo: install what {', '.join(sorted(packages))} hold on Debian")
    step.say(f"installing {', '.join(sorted(packages))}")
    made = install_host_packages(sorted(packages))
    step.write("\n".join(f"{name} {version}" for name, version in sorted(made.versions.items())))


def disk_size() -> int | None:
    """The size in bytes of an engine's own file system, None where it needs none: overlays do not stand on overlays.

    Raises TestbedError where ``stat`` cannot tell.
    """
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    argv = ["stat", "--file-system", "--format", "%T", str(DATA_DIR)]
    return DISK_SIZE if command(argv).strip() == "overlayfs" else None
