"""The loader on real Pythons, and on hosts that give it as little as a host can."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import zstandard

from bundler.loader import loader_path
from loader.build import COMMANDS, INPUTS_MEMBER, LOADER, ROOT, build_loader, own_sources
from loader.wheels import PYTHONS, LoaderError, cached_wheels
from testbed import debian
from testbed.engines import RunningEngine
from tests.bundles import make_bundle, write_sums
from tests.sites import site_at
from tests.support.distributions import wheel_of_sdist

#: It goes into every kit; docs/loader.md says how large it is now.
LARGEST_SIZE = 32 << 20
# Run in the archive's place: shows where packages come from, and reads a zstd stream from standard input.
PROBE = """
import json, sys, zipimport
sys.path.insert(0, sys.argv[1])
from bundler.loader import start
start.prepare(zipimport.zipimporter(sys.argv[1]))
if len(sys.argv) > 2:
    start.PLACES = [getattr(start, name) for name in sys.argv[2].split(",") if hasattr(start, name)]
import click, docker, requests, tqdm, certifi
from bundler.core import zstd
from bundler.core.errors import BundlerError
import hashlib
try:
    digest = hashlib.sha256(zstd.open_decompressor(sys.stdin.buffer).read()).hexdigest()
except BundlerError as error:
    digest = type(error).__name__
packages = [click, docker, requests, tqdm, certifi, zstd]
backend = getattr(sys.modules.get("zstandard"), "backend", None)
outside = [module.__file__ for module in packages if not module.__file__.startswith(sys.argv[1])]
print(json.dumps({"outside": outside, "digest": digest, "backend": backend, "docker": docker.DockerClient.__name__}))
"""
CONTENT = random.Random(3).randbytes(300_000) + bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def pythons() -> dict[str, str]:
    """The Pythons of this machine that the loader has to serve, by version: this one, and pyenv's."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    for path in sorted(root.glob("versions/3.*/bin/python")):
        major, minor = path.parent.parent.name.split(".")[:2]
        if (int(major), int(minor)) >= (3, 9):
            found[f"{major}.{minor}"] = str(path)
    return found


PYTHON_PATHS = pythons()


@pytest.fixture(scope="session")
def loader() -> Path:
    build_loader(ROOT / LOADER)
    return loader_path()


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with nothing in it but empty places for home and temporary files."""
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    return {"PATH": "/nonexistent", "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}


def left_behind(environment: Mapping[str, str]) -> list[Path]:
    return [path for name in ("HOME", "TMPDIR") for path in Path(environment[name]).rglob("*")]


def call(argv: Sequence[str], environment: Mapping[str, str], **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(argv, env=dict(environment), capture_output=True, check=False, timeout=600, **options)  # type: ignore[call-overload,no-any-return]


def probe(
    python: Sequence[str],
    loader: str,
    environment: Mapping[str, str],
    *,
    places: Sequence[str] = (),
    check: bool = True,
) -> dict[str, object]:
    argv = [*python, "-c", PROBE, loader, *([",".join(places)] if places else [])]
    done = call(argv, environment, input=zstandard.compress(CONTENT))
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert result["outside"] == []
    if check:
        assert result["digest"] == DIGEST
    return dict(result)


@pytest.mark.parametrize("version", sorted(PYTHON_PATHS))
def test_each_python_runs_it_and_keeps_nothing(version: str, loader: Path, bare: dict[str, str]) -> None:
    done = call([PYTHON_PATHS[version], str(loader), "--version"], bare)
    assert (done.returncode, done.stdout.split()[:1], done.stderr) == (0, [b"bundler"], b"")
    result = probe([PYTHON_PATHS[version]], str(loader), bare)
    # A Python without a wheel has a module of its own for it.
    assert result["backend"] == ("cext" if version in PYTHONS else None)
    assert left_behind(bare) == []


def test_commands_of_the_builder_are_absent(loader: Path, bare: dict[str, str]) -> None:
    shown = call([sys.executable, str(loader), "--help"], bare).stdout.decode()
    listed = {line.split()[0] for line in shown.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed <= set(COMMANDS)
    assert listed == {name for name in COMMANDS if (ROOT / f"bundler/cli/{name}.py").exists()}
    done = call([sys.executable, str(loader), "build", "recipe"], bare)
    assert done.returncode == 2
    assert b"'build' is not part of this distribution" in done.stderr


@pytest.mark.parametrize("command", [name for name in COMMANDS if (ROOT / f"bundler/cli/{name}.py").exists()])
def test_each_command_loads_on_the_oldest_python(command: str, loader: Path, bare: dict[str, str]) -> None:
    oldest = PYTHON_PATHS[min(PYTHON_PATHS, key=lambda version: int(version.split(".")[1]))]
    done = call([oldest, str(loader), command, "--help"], bare)
    assert (done.returncode, done.stderr) == (0, b"")


def test_no_home_and_a_relative_path(loader: Path, tmp_path: Path) -> None:
    shutil.copy(loader, tmp_path / "bundler.pyz")
    tmp_path.chmod(0o555)
    try:
        done = call([sys.executable, "bundler.pyz", "--version"], {}, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b"")
        assert [path.name for path in tmp_path.iterdir()] == ["bundler.pyz"]
    finally:
        tmp_path.chmod(0o755)


def test_it_stays_small(loader: Path) -> None:
    assert loader.stat().st_size <= LARGEST_SIZE


def test_the_wheel_made_from_the_sdist_brings_it(loader: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel_of_sdist(tmp_path)) as wheel:
        held = wheel.read("bundler/loader/bundler.pyz")
    assert hashlib.sha256(held).digest() == hashlib.sha256(loader.read_bytes()).digest()


def test_it_is_a_program_itself(loader: Path) -> None:
    assert call([str(loader), "--version"], os.environ).returncode == 0


def in_noexec(argv: Sequence[str], directory: str) -> list[str]:
    """``argv`` where ``directory`` is an empty file system on which nothing may run; needs root."""
    script = 'mount -t tmpfs -o noexec,nosuid none "$0" && exec "$@"'
    return ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, directory, *argv]


MOUNTING = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@pytest.mark.engine
def test_noexec_temporary_directory_is_not_needed(loader: Path, tmp_path: Path) -> None:
    environment = {**MOUNTING, "TMPDIR": str(tmp_path)}
    assert probe(in_noexec([sys.executable], str(tmp_path)), str(loader), environment)["backend"] == "cext"


def test_install_with_a_home_that_takes_no_writes(loader: Path, docker20: RunningEngine, tmp_path: Path) -> None:
    """A file system that is read-only keeps root out too, as permissions do not."""
    kit, home = make_bundle(tmp_path / "medium"), tmp_path / "home"
    shutil.copy(loader, kit / "bundler.pyz")
    write_sums(kit)
    home.mkdir()
    script = 'mount -t tmpfs -o ro none "$HOME" && ! touch "$HOME/x" 2>/dev/null && exec "$@"'
    with site_at(docker20, tmp_path / "state") as site:
        options = ["--host", docker20.base_url, "--state-dir", str(site.host.state), "--progress", "none"]
        python = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh", sys.executable]
        done = call([*python, str(kit / "bundler.pyz"), "install", str(kit), *options], {**MOUNTING, "HOME": str(home)})
        assert (done.returncode, done.stderr) == (0, b"")
        assert site.audit(kit).findings == ()


@pytest.mark.engine
def test_without_memory_files_and_with_noexec_the_program_is_taken(loader: Path, tmp_path: Path) -> None:
    python = in_noexec([sys.executable], str(tmp_path))
    environment = {**MOUNTING, "TMPDIR": str(tmp_path)}
    assert probe(python, str(loader), environment, places=["in_temporary_directory"])["backend"] is None


def test_without_memory_files_a_temporary_directory_serves(loader: Path, bare: dict[str, str]) -> None:
    result = probe([sys.executable], str(loader), bare, places=["in_temporary_directory"])
    assert result["backend"] == "cext"
    assert left_behind(bare) == []


def test_no_way_to_read_zstd_is_an_error_of_ours(loader: Path, bare: dict[str, str]) -> None:
    python = PYTHON_PATHS[next(version for version in PYTHON_PATHS if version in PYTHONS)]
    result = probe([python], str(loader), bare, places=["in_no_place"], check=False)
    assert (result["backend"], result["digest"]) == (None, "PreconditionError")


@pytest.fixture(scope="module")
def old_debian(loader: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Debian 11 with its own Python 3.9.2 and no package beside it, all of it read-only, the loader in ``/media``."""
    tar = debian.rootfs("bullseye", include=["python3"]).path
    root = tmp_path_factory.mktemp("bullseye")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root)
        subprocess.run(["tar", "--extract", "--file", str(tar), "--directory", str(root)], check=True)
        shutil.copy(loader, root / "media/bundler.pyz")
        subprocess.run(["mount", "--bind", str(root), str(root)], check=True)
        stack.callback(subprocess.run, ["umount", str(root)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(root)], check=True)
        yield root


@pytest.mark.engine
@pytest.mark.parametrize("user", ["0:0", "65534:65534"], ids=["root", "nobody"])
def test_read_only_host_with_an_old_python(user: str, old_debian: Path) -> None:
    python = ["/usr/sbin/chroot", f"--userspec={user}", str(old_debian), "/usr/bin/python3"]
    done = call([*python, "/media/bundler.pyz", "--version"], {})
    assert (done.returncode, done.stdout.split()[:1], done.stderr) == (0, [b"bundler"], b"")


@pytest.mark.engine
def test_old_python_reads_zstd_with_proc(old_debian: Path) -> None:
    script = 'mount -t proc proc "$0/proc" && exec chroot --userspec=65534:65534 "$0" "$@"'
    python = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, str(old_debian), "/usr/bin/python3"]
    assert probe(python, "/media/bundler.pyz", MOUNTING)["backend"] == "cext"


def test_older_pythons_are_told_what_to_do(loader: Path) -> None:
    with zipfile.ZipFile(loader) as archive:
        start = archive.read("__main__.py").decode()
    ast.parse(start, feature_version=(3, 4))
    root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    for version in ("2.7", "3.6", "3.8"):
        for python in root.glob(f"versions/{version}.*/bin/python"):
            done = call([str(python), str(loader), "install", "."], os.environ)
            assert done.returncode == 10
            assert done.stderr.decode().splitlines()[0].endswith(f"this is {version}.")


def test_same_bytes_from_another_place_time_and_umask(tmp_path: Path) -> None:
    outputs = []
    for name, umask, when in (("one", 0o022, 1_000_000_000), ("two", 0o077, 1_700_000_000)):
        before = os.umask(umask)
        try:
            root = tmp_path / name
            shutil.copytree(ROOT / "bundler", root / "bundler", ignore=shutil.ignore_patterns("*.pyz", "__pycache__"))
            shutil.copy(ROOT / "LICENSE", root)
            for path in root.rglob("*"):
                os.utime(path, (when, when))
            outputs.append(root / "bundler.pyz")
            build_loader(outputs[-1], root=root)
        finally:
            os.umask(before)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert [output.stat().st_mode & 0o777 for output in outputs] == [0o755, 0o755]


def test_made_again_only_if_something_changed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bundler", tmp_path / "bundler", ignore=shutil.ignore_patterns("*.pyz", "__pycache__"))
    shutil.copy(ROOT / "LICENSE", tmp_path)
    output = tmp_path / "bundler.pyz"
    assert build_loader(output, root=tmp_path)
    assert not build_loader(output, root=tmp_path)
    with (tmp_path / "bundler/core/errors.py").open("a") as source:
        source.write("# changed\n")
    assert build_loader(output, root=tmp_path)
    output.write_bytes(b"damaged")
    assert build_loader(output, root=tmp_path)


def test_every_member_is_a_file_of_ours_or_of_a_pinned_wheel(loader: Path) -> None:
    known = {(name, hashlib.sha256(content).hexdigest()) for name, content in own_sources(ROOT).items()}
    for wheel in cached_wheels():
        with zipfile.ZipFile(wheel) as archive:
            known |= {(name, hashlib.sha256(archive.read(name)).hexdigest()) for name in archive.namelist()}
    with zipfile.ZipFile(loader) as archive:
        held = {(name, hashlib.sha256(archive.read(name)).hexdigest()) for name in archive.namelist()}
    assert {name for name, _ in held - known} == {INPUTS_MEMBER}
    assert not [name for name, _ in held if name.startswith("bundler/builder")]


def test_builder_in_a_travelling_command_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bundler", tmp_path / "bundler", ignore=shutil.ignore_patterns("*.pyz", "__pycache__"))
    shutil.copy(ROOT / "LICENSE", tmp_path)
    (tmp_path / "bundler/cli/verify.py").write_text("from bundler.cli import shown\n")
    (tmp_path / "bundler/cli/shown.py").write_text("def f():\n    from bundler.builder import recipe\n")
    with pytest.raises(LoaderError, match=r"bundler\.cli\.verify -> bundler\.cli\.shown -> bundler\.builder"):
        build_loader(tmp_path / "bundler.pyz", root=tmp_path)
