"""A place to install to: a real engine, a host with a state directory of its own, and views of what stands there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.core.docker_api import connect
from bundler.core.progress import Progress, SilentProgress
from bundler.installer.audit import audit
from bundler.installer.audit_report import AuditReport
from bundler.installer.engines.docker import DockerEngine
from bundler.installer.host import Host
from bundler.installer.install import InstallOptions, Outcome, install, undo
from testbed.engines import RunningEngine


@dataclass(frozen=True)
class Standing:
    """What an engine holds: image ids by name, all image ids, all container ids."""

    names: dict[str, str]
    images: frozenset[str]
    containers: frozenset[str]


@dataclass
class Site:
    """An engine and a host; ``install`` and its kin are the product's own functions."""

    running: RunningEngine
    engine: DockerEngine
    host: Host

    def install(self, kit: Path, progress: Progress | None = None, **options: Any) -> Outcome:
        return install(kit, self.engine, self.host, InstallOptions(**options), progress or SilentProgress())

    def audit(self, kit: Path | None = None) -> AuditReport:
        return audit(kit, self.engine, self.host, SilentProgress())

    def undo(self) -> None:
        undo(Path(), self.engine, self.host, SilentProgress())

    def standing(self) -> Standing:
        listed = self._get("/images/json?all=1")
        names = {tag: entry["Id"] for entry in listed for tag in entry["RepoTags"] or () if tag != "<none>:<none>"}
        containers = frozenset(entry["Id"] for entry in self._get("/containers/json?all=1"))
        return Standing(names, frozenset(entry["Id"] for entry in listed), containers)

    def _get(self, path: str) -> Any:
        return self.running.get(path)

    def state_files(self) -> list[str]:
        """What stands in the state directory beside the lock and the log."""
        root = self.host.state
        found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        return sorted(name for name in found if name not in {"lock", "log.jsonl"})

    def command(
        self, *arguments: str | Path, url: str | None = None, program: tuple[str, ...] = ("-m", "bundler")
    ) -> subprocess.Popen[str]:
        """``bundler ARGUMENTS`` as a process of its own."""
        argv = [sys.executable, *program, *map(str, arguments), "--host", url or self.running.base_url]
        argv += ["--state-dir", str(self.host.state)]
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env()
        )

    def run(self, *arguments: str | Path, url: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same, to its end."""
        return _ended(self.command(*arguments, url=url))

    def run_script(self, script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """The command line inside a script that prepares its own end."""
        return _ended(self.command(*arguments, program=("-c", script)))


def _ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def require_three_lines(done: subprocess.CompletedProcess[str], code: int, told: str) -> None:
    """The error of a run without progress is told as it is promised: what happened, where, what to do, and no more."""
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert [line.partition(": ")[0] for line in lines[1:]] == ["where", "do"], done.stderr
    assert told in lines[0], done.stderr
    assert done.stdout == ""


def clean_env() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "XDG_"))}


@contextlib.contextmanager
def site_at(running: RunningEngine, state: Path) -> Iterator[Site]:
    """A site on that engine; at the end everything that came to the engine since is removed."""
    site = Site(running, DockerEngine(connect(running.base_url)), Host(state))
    before = site.standing()
    try:
        yield site
    finally:
        _sweep(site, before)


def _sweep(site: Site, before: Standing) -> None:
    after = site.standing()
    if gone := sorted(after.containers - before.containers):
        site.running.docker("rm", "--force", "--volumes", *gone)
    new = [name for name in after.names if name not in before.names] + sorted(after.images - before.images)
    for name in new:
        with contextlib.suppress(Exception):  # removed with the name before it
            site.running.docker("rmi", "--force", "--no-prune", name)


def saved(site: Site, name: str) -> dict[str, Any]:
    """``docker save`` of an image: the names of the archive's members by their sizes, and its manifest."""
    import tarfile

    process = subprocess.Popen(
        [str(site.running.run_dir / "bin" / "docker"), "save", name],
        stdout=subprocess.PIPE,
        env=site.running.environment(),
    )
    sizes: dict[str, int] = {}
    manifest: Any = None
    with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            sizes[entry.name] = entry.size if content is not None else -1
            if entry.name == "manifest.json" and content is not None:
                manifest = json.load(content)
    assert process.wait() == 0
    return {"sizes": sizes, "manifest": manifest}
