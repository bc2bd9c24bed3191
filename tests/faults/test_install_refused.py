"""Kits that must be refused: three lines, the documented code, and the host and the engine as they were."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.core.bundle import open_bundle
from bundler.core.errors import BundleError, CheckError
from bundler.core.kit import TrustPolicy
from bundler.core.layout import blob_name
from testbed.engines import RunningEngine
from tests.bundles import damage, make_bundle, tar_of, write_sums
from tests.sites import Site, require_three_lines, site_at

NAMES = {"bundler-test/service:base", "bundler-test/service:1.0.0"}


@pytest.fixture
def any_site(any_engine: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(any_engine, tmp_path / "state") as site:
        yield site


@pytest.fixture
def site(docker20: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(docker20, tmp_path / "state") as site:
        yield site


def damage_last_layer(kit: Path) -> None:
    """Only the last layer of the last image, and the kit's sums made to fit: nothing but its digest tells."""
    last = open_bundle(kit, TrustPolicy()).images[-1].layers[-1]
    damage(kit, blob_name(last.blob.digest))
    write_sums(kit)


@pytest.mark.parametrize("former", [False, True], ids=["first", "update"])
def test_only_the_last_layer_is_damaged(any_site: Site, tmp_path: Path, former: bool) -> None:
    site = any_site
    if former:
        site.install(make_bundle(tmp_path / "a", version="0.9.0", app_tag="1.0.0", greeting="hello former"))
    before, files = site.standing(), site.state_files()
    kit = make_bundle(tmp_path / "b", version="1.0.0", greeting="hello new", more_apps=1)
    damage_last_layer(kit)
    with pytest.raises(BundleError) as caught:
        site.install(kit, into=tmp_path / "srv")
    assert "blobs/sha256/" in caught.value.where
    assert site.standing() == before
    assert site.state_files() == files
    assert not (tmp_path / "srv").exists()
    if former:
        run = site.running.run("--network", "none", "bundler-test/service:1.0.0")
        assert run == "hello former\n"


def test_lying_diff_id(any_site: Site, tmp_path: Path) -> None:
    before = any_site.standing()
    kit = make_bundle(tmp_path, lying_layer=True)
    with pytest.raises(BundleError) as caught:
        any_site.install(kit)
    assert "uncompressed" in caught.value.where
    assert any_site.standing() == before
    assert any_site.state_files() == []


@pytest.mark.parametrize("former", [False, True], ids=["first", "update"])
def test_the_engine_refuses_the_last_layer(any_site: Site, tmp_path: Path, former: bool) -> None:
    """All its digests hold and it is no layer: the bundle's fault, so that nothing of it is kept."""
    site = any_site
    if former:
        site.install(make_bundle(tmp_path / "a", version="0.9.0", app_tag="1.0.0", greeting="hello former"))
    before, files = site.standing(), site.state_files()
    kit = make_bundle(tmp_path / "b", broken_layer=True, more_apps=1, model_seed=2)
    done = site.run("install", kit, "--into", tmp_path / "srv", "--progress", "none")
    require_three_lines(done, 6, "a layer cannot be unpacked, though its digests are right: ")
    assert "where: image docker.io/bundler-test/service-1:1.0.0, layer 3, sha256:" in done.stderr
    assert site.standing() == before
    assert site.state_files() == files
    assert not (tmp_path / "srv").exists()
    assert site.run("install", "--undo").stdout == "nothing to undo\n"
    if former:
        assert site.running.run("--network", "none", "bundler-test/service:1.0.0") == "hello former\n"
        assert site.audit().findings == ()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"expect": ["goodbye"]}, "printed nothing like 'goodbye'"),
        ({"forbid": ["hel+o"]}, "printed 'hello', which 'hel+o' forbids"),
        ({"command": ["/bin/false"], "expect": []}, "ended with code 1"),
        ({"command": ["/bin/sleep", "60"], "within_s": 1.0, "expect": []}, "did not end within 1 s"),
    ],
    ids=["expect", "forbid", "code", "time"],
)
def test_failing_check_is_undone(site: Site, tmp_path: Path, wanted: dict[str, object], told: str) -> None:
    site.install(make_bundle(tmp_path / "a", version="0.9.0", app_tag="1.0.0", greeting="hello former"))
    before, files = site.standing(), site.state_files()
    with pytest.raises(CheckError) as caught:
        site.install(make_bundle(tmp_path / "b", **wanted), into=tmp_path / "srv")
    assert [told in problem.what for problem in caught.value.problems] == [True]
    assert site.standing() == before
    assert site.state_files() == files
    assert not (tmp_path / "srv").exists()


def test_pattern_that_is_none(site: Site, tmp_path: Path) -> None:
    before = site.standing()
    with pytest.raises(BundleError, match="not a regular expression"):
        site.install(make_bundle(tmp_path, expect=["(unclosed"]))
    assert site.standing() == before


def truncate(kit: Path) -> Path:
    tar = tar_of(kit)
    with tar.open("r+b") as stream:
        stream.truncate(tar.stat().st_size * 2 // 3)
    return tar


def flip(kit: Path) -> Path:
    tar = tar_of(kit)
    layer = open_bundle(kit, TrustPolicy()).images[0].layers[0]
    damage(kit, blob_name(layer.blob.digest), 0.3)
    return tar


def newer_format(kit: Path) -> Path:
    """A bare tar of the next format, whole in itself."""
    from bundler.core.checksums import parse_sums, render_sums
    from bundler.core.digest import Digest
    from bundler.core.tarball import END, padding, read_members, render_header

    tar = tar_of(kit)
    content = {}
    with tar.open("rb") as stream:
        for member in read_members(stream, tar.name):
            stream.seek(member.offset)
            content[member.name] = stream.read(member.size)
    content["bundle.json"] = content["bundle.json"].replace(b'"format_version":1', b'"format_version":2')
    sums = parse_sums(content["MEMBERS"], "MEMBERS")
    sums["bundle.json"] = Digest.of(content["bundle.json"])
    content["MEMBERS"] = render_sums(sums)
    parts = (render_header(name, len(data)) + data + bytes(padding(len(data))) for name, data in content.items())
    tar.write_bytes(b"".join(parts) + END)
    return tar


def newer_form(kit: Path) -> Path:
    """A kit of the next format, whole in itself, whose tar no reader of this one understands."""
    head = kit / "head" / "bundle.json"
    head.write_bytes(head.read_bytes().replace(b'"format_version":1', b'"format_version":2'))
    tar_of(kit).write_bytes(b"another form\n" * 1000)
    write_sums(kit)
    return kit


def not_a_bundle(kit: Path) -> Path:
    import tarfile

    path = kit.parent / "other.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(kit / "README.txt", "README.txt")
    return path


def not_a_kit(kit: Path) -> Path:
    return kit.parent


def missing_tar(kit: Path) -> Path:
    tar_of(kit).unlink()
    return kit


def nothing_there(kit: Path) -> Path:
    return kit / "nowhere"


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        (truncate, 6, "cut off inside member blobs/sha256/"),
        (flip, 6, "its content has another digest"),
        (newer_format, 6, "the bundle has format 2, this bundler reads format 1"),
        (newer_form, 6, "the bundle has format 2, this bundler reads format 1"),
        (not_a_bundle, 6, "a header that bundler does not write"),
        (not_a_kit, 6, "not a kit: it holds no SHA256SUMS"),
        (missing_tar, 10, "the bundle service-1.0.0-linux-amd64.tar is missing"),
        (nothing_there, 10, "there is no such file or directory"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_no_whole_bundle(
    site: Site, tmp_path: Path, fault: Callable[[Path], Path], code: int, told: str
) -> None:
    before = site.standing()
    path = fault(make_bundle(tmp_path / "medium"))
    require_three_lines(site.run("install", path, "--progress", "none"), code, told)
    assert site.standing() == before
    assert site.state_files() == []


def test_every_file_of_the_kit_that_is_wrong_is_listed(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path / "medium")
    (kit / "README.txt").unlink()
    (kit / "more").touch()
    done = site.run("install", kit, "--progress", "none")
    assert done.returncode == 6
    assert done.stderr.splitlines()[:3] == [
        "the kit's files are not as its SHA256SUMS says",
        "  README.txt: listed in SHA256SUMS, but missing (bring the kit here again, whole and unchanged)",
        "  more: not listed in SHA256SUMS (remove it)",
    ]
    assert len(done.stderr.splitlines()) == 5
    assert site.state_files() == []


def test_verify_tells_all_problems(tmp_path: Path, site: Site) -> None:
    kit = make_bundle(tmp_path / "medium")
    flip(kit)
    (kit / "README.txt").unlink()
    done = site_less_verify(kit)
    assert done[0] == 6
    assert "README.txt: listed in SHA256SUMS, but missing" in done[1]
    assert f"{tar_of(kit).name}: changed" in done[1]


def site_less_verify(kit: Path) -> tuple[int, str]:
    """``bundler verify`` needs no engine."""
    argv = [sys.executable, "-m", "bundler", "verify", str(kit)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_wrong_platform(site: Site, tmp_path: Path) -> None:
    before = site.standing()
    done = site.run("install", make_bundle(tmp_path, platform="linux/s390x"), "--progress", "none")
    require_three_lines(done, 8, "the bundle is for linux/s390x, the engine runs linux/amd64")
    assert site.standing() == before
    assert site.state_files() == []


def test_engine_not_running(site: Site, tmp_path: Path) -> None:
    done = site.run("install", make_bundle(tmp_path / "medium"), url=f"unix://{tmp_path}/none.sock")
    require_three_lines(done, 8, "no engine answers there")
    assert site.state_files() == []


def test_engine_that_is_too_old(site: Site, tmp_path: Path) -> None:
    """No older engine than 20.10 can be had here, so what is asked for is raised above what a real one has."""
    before = site.standing()
    script = (
        "from bundler.core import docker_api; docker_api.OLDEST_API = (1, 42)\n"
        "from bundler.__main__ import main; main()"
    )
    done = site.run_script(script, "install", make_bundle(tmp_path / "medium"))
    require_three_lines(done, 8, "is too old: its API ends at 1.41, 1.42 is needed")
    assert done.stderr.startswith("Docker 20.10.24")
    assert f"where: {site.running.base_url}" in done.stderr
    assert site.standing() == before
    assert site.state_files() == []


#: Imports come first: nobody may be kept out of the place where this Python stands.
AS_NOBODY = """
import os
import bundler.cli.audit, bundler.cli.install, bundler.installer.engines.docker
from bundler.__main__ import main
os.setgroups([]); os.setgid(65534); os.setuid(65534)
main()
"""


def test_no_permission_for_the_socket(site: Site, tmp_path: Path) -> None:
    require_three_lines(site.run_script(AS_NOBODY, "install", tmp_path), 10, "no permission to speak to the engine")
    assert site.state_files() == []


def test_no_home_and_no_state_dir(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", AS_NOBODY, "audit"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": "/bin"})
    require_three_lines(done, 10, "there is no place to keep receipts")
    assert "--state-dir" in done.stderr
