"""What the isolated host runs, on a real Python 3.9: Debian 11 with nothing installed, its root file system as it is.

A kit that ``bundler build`` wrote is mounted read-only at ``/media/kit``, the socket of an engine at its usual place,
and a person types ``python3 bundler.pyz …`` in the kit's directory, with an empty environment.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loader.build import ROOT
from testbed.engines import RunningEngine
from tests.bundles import damage
from tests.sites import site_at
from tests.support.build_site import build_site, images_in

NAME = "small-1.0.0-linux-amd64"
SYSTEM = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
# The mounts stand in a name space of their own, so that nothing of them is left, however this ends.
# $1: the root, $2: the kit, $3: the engine's socket or nothing.
ENTER = """
root=$1 kit=$2 socket=$3
shift 3
mount -t proc proc "$root/proc"
mount --bind "$kit" "$root/media/kit"
mount -o remount,bind,ro "$root/media/kit"
rm -f "$root/run/docker.sock"
if [ -n "$socket" ]; then : >"$root/run/docker.sock"; mount --bind "$socket" "$root/run/docker.sock"; fi
exec chroot "$@"
"""
TYPED = 'cd /media/kit && exec python3 bundler.pyz "$@"'
IMPORT_ALL = """
import importlib, sys, zipimport
archive = "/media/kit/bundler.pyz"
sys.path.insert(0, archive)
from bundler.loader import start
start.prepare(zipimport.zipimporter(archive))
modules = [importlib.import_module(name) for name in sys.argv[1:]]
strange = [module.__name__ for module in modules if not module.__file__.startswith(archive)]
print(sys.version_info[:2], len(modules), strange)
"""


@dataclass(frozen=True)
class OldHost:
    """Debian 11 at ``root``; ``kit`` is what its medium holds."""

    root: Path
    kit: Path
    engine: RunningEngine

    def call(
        self, *argv: str, kit: Path | None = None, engine: bool = True, user: str = "0:0"
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of that host without any variable but ``PATH``."""
        socket = str(self.engine.socket) if engine else ""
        entering = ["unshare", "--mount", "/bin/sh", "-ec", ENTER, "sh", str(self.root), str(kit or self.kit), socket]
        chroot = [f"--userspec={user}", str(self.root), *argv]
        return subprocess.run(
            [*entering, *chroot], env=SYSTEM, capture_output=True, text=True, check=False, timeout=600
        )

    def types(
        self, *words: str, kit: Path | None = None, engine: bool = True, user: str = "0:0"
    ) -> subprocess.CompletedProcess[str]:
        """``python3 bundler.pyz WORDS`` in the kit's directory."""
        return self.call("/bin/sh", "-c", TYPED, "sh", *words, kit=kit, engine=engine, user=user)


@pytest.fixture(scope="module")
def old_host(
    bullseye_python_tar: Path, docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OldHost]:
    work = tmp_path_factory.mktemp("python39")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work)
        with build_site(work / "site", docker20, model_size=2_000_000) as site:
            kit = site.build("--rehearse", "off")
        root = work / "root"
        root.mkdir()
        subprocess.run(["tar", "--extract", "--file", str(bullseye_python_tar), "--directory", str(root)], check=True)
        (root / "media/kit").mkdir()
        yield OldHost(root, kit, docker20)


@pytest.fixture
def damaged_kit(old_host: OldHost, tmp_path: Path) -> Path:
    """A copy of the kit with one bit flipped in the model's layer."""
    kit = tmp_path / old_host.kit.name
    shutil.copytree(old_host.kit, kit)
    lowest = json.loads((kit / "head/bundle.json").read_bytes())["images"][0]["layers"][0]["digest"]
    damage(kit, f"blobs/sha256/{lowest.removeprefix('sha256:')}")
    return kit


def require_three_lines(done: subprocess.CompletedProcess[str], code: int) -> list[str]:
    """An error as the documentation promises it: what, where, what to do; findings indented; never a traceback."""
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert len(lines) == 3, done.stderr
    assert lines[1].startswith("where: ")
    assert lines[2].startswith("do: ")
    assert "Traceback" not in done.stdout + done.stderr
    return lines


def travelling_modules() -> list[str]:
    """Every module of the parts that have to run there, as they stand in this checkout."""
    paths = [path for part in ("core", "installer") for path in sorted((ROOT / "bundler" / part).rglob("*.py"))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.engine
def test_every_module_of_core_and_installer_is_imported(old_host: OldHost) -> None:
    names = travelling_modules()
    assert {"bundler.core.bundle", "bundler.installer.engines.docker_load"} <= set(names)
    done = old_host.call("/usr/bin/python3", "-c", IMPORT_ALL, *names)
    assert (done.stdout, done.stderr) == (f"(3, 9) {len(names)} []\n", "")


@pytest.mark.engine
def test_the_kit_is_read(old_host: OldHost) -> None:
    done = old_host.types("verify", ".", "--progress", "none", engine=False)
    assert (done.returncode, done.stderr) == (0, "")
    verified = json.loads(old_host.types("verify", "--json", "--progress", "none", engine=False).stdout)
    assert verified["problems"] == []
    done = old_host.types("inspect", "--json", engine=False, user="65534:65534")
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert [image["reference"] for image in shown["images"]] == [
        "docker.io/library/small:base",
        "docker.io/library/small:1.0.0",
    ]
    assert shown["models"][0]["size"] > 2_000_000
    assert "acme/tiny@" in old_host.types("inspect", engine=False).stdout


@pytest.mark.engine
def test_the_kit_is_installed_audited_and_checked(old_host: OldHost, tmp_path: Path) -> None:
    with site_at(old_host.engine, tmp_path / "unused"):
        done = old_host.types("install", ".", "--into", "/srv/small")
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(f"{NAME} is installed\n")
        assert (old_host.root / "srv/small/compose.yaml").read_text() == "services: {}\n"
        assert list((old_host.root / "var/lib/bundler/receipts").rglob("small.json"))
        shown = old_host.engine.run("--network", "none", "small:1.0.0")
        assert shown == "application\n"

        again = old_host.types("install", ".", "--into", "/srv/small")
        assert again.returncode == 0, again.stderr
        assert again.stdout.endswith("nothing to do\n")

        audited = old_host.types("audit", "--json", "--progress", "none")
        assert audited.returncode == 0, audited.stdout
        assert json.loads(audited.stdout)["compared"]["images"] == 2
        checked = old_host.types("check", "small", "--json", "--progress", "none")
        assert checked.returncode == 0, checked.stderr
        assert [result["passed"] for result in json.loads(checked.stdout)[NAME]] == [True] * 3

        page = "/srv/reports/small-1.0.0-linux-amd64-report.html"
        reported = old_host.types("report", "small", "--output", "/srv/reports")
        assert (reported.returncode, reported.stderr) == (0, ""), reported.stderr
        assert reported.stdout.startswith("Proved: 3 of 3 checks passed, and nothing tried to call out\n")
        assert page in reported.stdout
        text = (old_host.root / page[1:]).read_text()
        assert text.endswith("</html>\n")
        assert "What remains unproved" in text

        old_host.engine.docker("rmi", "small:1.0.0")
        found = old_host.types("audit", "--progress", "none")
        assert found.returncode == 9
        assert "small:1.0.0" in found.stdout
        assert "Traceback" not in found.stderr


@pytest.mark.engine
def test_the_kits_own_report_is_the_one_that_is_written_there(old_host: OldHost) -> None:
    done = old_host.types("report", ".", "--output", "/srv/of-kit/page.html", engine=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("Nothing was proved: no check was run\n")
    for suffix in ("html", "json"):
        written = (old_host.root / f"srv/of-kit/page.{suffix}").read_bytes()
        assert written == (old_host.kit / f"papers/report.{suffix}").read_bytes()


@pytest.mark.engine
def test_a_report_that_is_asked_for_inside_the_kit_leaves_the_kit_whole(old_host: OldHost) -> None:
    for words in (("report", "."), ("report", ".", "--output", "papers")):
        assert "--output" in require_three_lines(old_host.types(*words, engine=False), 2)[2]
    done = old_host.types("verify", ".", "--progress", "none", engine=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.engine
def test_a_damaged_kit_is_refused(old_host: OldHost, damaged_kit: Path) -> None:
    before = images_in(old_host.engine)
    options = ("--progress", "none", "--state-dir", "/srv/damaged")
    require_three_lines(old_host.types("install", ".", *options, kit=damaged_kit), 6)
    assert images_in(old_host.engine) == before
    done = old_host.types("verify", ".", "--progress", "none", kit=damaged_kit, engine=False)
    assert done.returncode == 6
    assert "Traceback" not in done.stdout + done.stderr
    assert f"{NAME}.tar" in done.stdout + done.stderr


@pytest.mark.engine
def test_without_an_engine_it_says_so(old_host: OldHost) -> None:
    done = old_host.types("install", ".", "--progress", "none", engine=False)
    assert "no engine answers there" in require_three_lines(done, 8)[0]


@pytest.mark.engine
def test_a_user_without_home_and_without_permission_is_told_what_to_do(old_host: OldHost) -> None:
    nobody = "65534:65534"
    done = old_host.types("audit", "--progress", "none", user=nobody)
    assert "--state-dir" in require_three_lines(done, 10)[2]
    (old_host.root / "srv/nobody").mkdir(exist_ok=True)
    (old_host.root / "srv/nobody").chmod(0o777)
    done = old_host.types("install", ".", "--progress", "none", "--state-dir", "/srv/nobody", user=nobody)
    assert "no permission" in require_three_lines(done, 10)[0]
