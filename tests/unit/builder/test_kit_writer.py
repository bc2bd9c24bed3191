"""The kit has its name only when it is whole, and an older one keeps it until then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bundler.builder.kit_writer import StagedKit
from bundler.core.bundle import open_bundle
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.kit import TrustPolicy, audit_kit_files, locate_kit
from bundler.core.progress import SilentProgress
from bundler.core.verify import verify_kit
from tests.support.tiny_bundle import Tiny, make_tiny_kit, write_tar

TITLE = "tiny-1.0.0-linux-amd64"
PAPERS = ["papers/checks.json", "papers/licences/m/LICENSE"]
HEAD = ["head/MEMBERS", "head/bundle.json", "head/index.json", "head/manifest.json"]


def files_of(kit: Path) -> list[str]:
    return sorted(path.relative_to(kit).as_posix() for path in kit.rglob("*") if path.is_file())


def test_a_kit_holds_what_the_format_says(tmp_path: Path) -> None:
    kit = make_tiny_kit(tmp_path)
    assert kit == tmp_path / TITLE
    assert files_of(kit) == sorted(["README.txt", "SHA256SUMS", f"{TITLE}.tar", "bundler.pyz", *HEAD, *PAPERS])
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=kit, check=True)
    report = verify_kit(kit, TrustPolicy(), SilentProgress())
    assert (report.problems, report.title) == ((), TITLE)
    assert report.tar_sum == locate_kit(kit, TrustPolicy()).tar_sum
    assert open_bundle(kit, TrustPolicy()).manifest.name == "tiny"


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        kit = make_tiny_kit(tmp_path / "out")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in kit.rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (kit, *kit.rglob("*")) if path.is_dir()} == {0o755}


def test_the_readme_checks_before_it_runs_anything(tmp_path: Path) -> None:
    readme = (make_tiny_kit(tmp_path) / "README.txt").read_text()
    order = [
        readme.index(text)
        for text in (
            "sha256sum --check",
            "bundler.pyz install .",
            "bundler.pyz verify .",
            "bundler.pyz audit",
            "bundler.pyz check",
            "bundler.pyz report",
            "docker load",
        )
    ]
    assert order == sorted(order)
    assert "example.org/tiny:1.0.0" in readme
    assert "org/m@" + "c" * 40 in readme


def test_a_kit_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    kit = make_tiny_kit(tmp_path)
    first = (kit / "SHA256SUMS").read_bytes()
    with pytest.raises(BuildError), StagedKit(tmp_path, TITLE) as staged:
        write_tar(staged.tar, Tiny(seed=2), tmp_path / "compose.yaml")
        raise BuildError("stop", where="here", remedy="none")
    assert (kit / "SHA256SUMS").read_bytes() == first
    assert make_tiny_kit(tmp_path, Tiny(seed=2)) == kit
    assert (kit / "SHA256SUMS").read_bytes() != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compose.yaml", "loader", TITLE]


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_kit_is_not_replaced(tmp_path: Path, kind: str) -> None:
    place = tmp_path / TITLE
    if kind == "file":
        place.write_text("mine")
    elif kind == "directory":
        place.mkdir()
        (place / "mine").touch()
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(PreconditionError, match="not a kit"), StagedKit(tmp_path, TITLE):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [TITLE]


def test_papers_written_after_the_rehearsal_are_summed(tmp_path: Path) -> None:
    loader, payload = tmp_path / "loader", tmp_path / "payload"
    loader.write_bytes(b"x")
    payload.write_bytes(b"y")
    with StagedKit(tmp_path, TITLE) as staged:
        manifest = write_tar(staged.tar, Tiny(), payload)
        tar_sum = Digest.of(staged.tar.read_bytes())
        staged.write(manifest, tar_sum, loader, {"old.txt": b"gone"})
        assert open_bundle(staged.directory, TrustPolicy())
        staged.write(manifest, tar_sum, loader, {"checks.json": b"[]"})
        kit = staged.publish()
    assert audit_kit_files(locate_kit(kit, TrustPolicy())) == []
    assert [name for name in files_of(kit) if name.startswith("papers/")] == ["papers/checks.json"]


@pytest.mark.parametrize("name", ["../x", "/x", "a\nb"])
def test_papers_with_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    loader = tmp_path / "loader"
    loader.write_bytes(b"x")
    with pytest.raises(BuildError), StagedKit(tmp_path, TITLE) as staged:
        manifest = write_tar(staged.tar, Tiny(), loader)
        staged.write(manifest, Digest.of(b""), loader, {name: b""})


_KILLED = """
import os, sys
from pathlib import Path
from bundler.builder import kit_writer
sys.path.insert(0, os.getcwd())
from tests.support.tiny_bundle import Tiny, make_tiny_kit
place = sys.argv[2]
real = Path.rename
def rename(self, target):
    if place == "before": os.kill(os.getpid(), 9)
    real(self, target)
    if place == "between": os.kill(os.getpid(), 9)
Path.rename = rename
make_tiny_kit(Path(sys.argv[1]), Tiny(seed=2))
"""


@pytest.mark.parametrize("place", ["before", "between"])
def test_a_kill_while_publishing_loses_no_kit(tmp_path: Path, place: str) -> None:
    kit = make_tiny_kit(tmp_path)
    first = (kit / "SHA256SUMS").read_bytes()
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, tmp_path, place], env={**os.environ, "PYTHONPATH": "."}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    if place == "before":
        assert (kit / "SHA256SUMS").read_bytes() == first
    else:
        assert not kit.exists()
        with StagedKit(tmp_path, TITLE):
            assert (kit / "SHA256SUMS").read_bytes() == first, "the next run gives the former kit its name back"
    assert make_tiny_kit(tmp_path, Tiny(seed=3)) == kit
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compose.yaml", "loader", TITLE]
