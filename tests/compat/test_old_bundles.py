"""Bundles of every format that was ever released are read by this release, and those of later ones are refused.

``data/format-N/`` holds a kit of format N that nobody makes again; the script beside it tells where it came from.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from bundler.core.bundle import open_bundle
from bundler.core.bundle_manifest import FORMAT_VERSION
from bundler.core.digest import Digest
from bundler.core.kit import TrustPolicy
from bundler.core.layout import BUNDLE_JSON, MEMBERS
from bundler.core.progress import SilentProgress
from bundler.core.verify import verify_kit
from tests.bundles import tar_of, write_sums
from tests.compat import make_format_1

DATA = Path(__file__).parent / "data"
MAX_KIT_SIZE = 200_000
# Digest of each kit's SHA256SUMS: a kit that is kept is never changed.
KEPT = {
    "format-1/compat-1.0.0-linux-amd64": "26a50929cba8d801e046503e48df742a32751274ef3ebb94e27177728105e0ac",
}


@pytest.fixture(params=sorted(KEPT))
def kit(request: pytest.FixtureRequest) -> Path:
    return DATA / str(request.param)


@pytest.fixture
def format_1() -> Path:
    return DATA / "format-1/compat-1.0.0-linux-amd64"


def bundler(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "bundler", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_every_format_is_kept_and_no_kit_was_changed() -> None:
    assert {path.name for path in DATA.glob("format-*")} == {f"format-{n + 1}" for n in range(FORMAT_VERSION)}
    assert {str(path.relative_to(DATA)) for path in DATA.glob("format-*/*")} == set(KEPT)
    for name, digest in KEPT.items():
        assert Digest.of((DATA / name / "SHA256SUMS").read_bytes()).hex == digest
        files = (path.stat().st_size for path in (DATA / name).rglob("*") if path.is_file())
        assert sum(files) <= MAX_KIT_SIZE


def test_an_old_kit_is_whole_to_us_and_to_plain_programs(kit: Path) -> None:
    report = verify_kit(kit, TrustPolicy(), SilentProgress())
    assert report.problems == ()
    assert report.read_size == tar_of(kit).stat().st_size
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=kit, check=True)
    with tarfile.open(tar_of(kit)) as archive:
        assert len(archive.getnames()) == report.members


def test_an_old_kit_gives_out_layers_and_files(kit: Path) -> None:
    bundle = open_bundle(kit, TrustPolicy())
    assert bundle.manifest.title == kit.name
    for image in bundle.images:
        for layer in image.layers:
            assert Digest.of_stream(bundle.open_plain_layer(layer)) == layer.diff_id
            assert Digest.of_stream(bundle.open_stored_layer(layer)) == layer.blob.digest
    for file in bundle.manifest.files:
        assert Digest.of_stream(bundle.open_payload(file)) == file.sha256


def test_an_old_kit_and_its_bare_tar_are_verified_and_inspected_from_the_command_line(kit: Path) -> None:
    for path in (kit, tar_of(kit)):
        done = bundler("verify", path, "--json", "--progress", "none")
        assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, [])
        shown = json.loads(bundler("inspect", path, "--json").stdout)
        assert shown["title"] == kit.name
        assert kit.name in bundler("inspect", path).stdout


def test_format_1_means_what_it_meant(format_1: Path) -> None:
    shown = json.loads(bundler("inspect", format_1, "--json").stdout)
    layers = {layer["digest"]: layer for layer in shown["layers"]}
    kinds = {
        image["reference"]: [(layers[digest]["kind"], layers[digest]["model"]) for digest in image["layers"]]
        for image in shown["images"]
    }
    base = [("model", "tiny"), ("model", "reader"), ("os", None), ("derived", None)]
    assert kinds == {
        "docker.io/library/compat:base": base,
        "docker.io/library/compat:1.0.0": [*base, ("app", None)],
        "registry.example.org/other/store:7": [("foreign", None)],
    }
    assert [(model["name"], model["commit"], model["path"]) for model in shown["models"]] == [
        ("tiny", make_format_1.COMMIT, "/app/models/tiny"),
        ("reader", make_format_1.COMMIT, "/app/hub"),
    ]
    assert [file["path"] for file in shown["files"]] == list(make_format_1.PAYLOAD)
    check = open_bundle(format_1, TrustPolicy()).manifest.checks[0]
    assert (check.run, check.within_s, check.user, dict(check.env)) == (("cat", "/srv/index"), 1.5, "10001", {"A": "b"})
    assert (check.expect, check.forbid) == (("^computed",), ("(?i)error",))


def test_the_script_beside_it_gives_what_is_kept(format_1: Path, tmp_path: Path) -> None:
    make_format_1.main(tmp_path)
    made = open_bundle(tmp_path / format_1.name, TrustPolicy())
    kept = open_bundle(format_1, TrustPolicy())
    assert [image.diff_ids for image in made.images] == [image.diff_ids for image in kept.images]
    if zstandard.__version__ == kept.manifest.tools["zstandard"]:  # another release may give other blobs
        sums = (tmp_path / format_1.name / "SHA256SUMS").read_bytes()
        assert sums == (format_1 / "SHA256SUMS").read_bytes()


@pytest.fixture
def newer_kit(format_1: Path, tmp_path: Path) -> Path:
    """The kit as a later format might be: all sums hold, the version is one more, and what else it says is unknown."""
    kit = tmp_path / format_1.name
    shutil.copytree(format_1, kit)
    members = make_format_1.content_of_bundle()
    members[BUNDLE_JSON] = json.dumps({"format_version": FORMAT_VERSION + 1, "later": True}).encode()
    del members[MEMBERS]
    members[MEMBERS] = make_format_1.sums(members)
    tar_of(kit).write_bytes(make_format_1.tar_of(members))
    for path in (kit / "head").iterdir():
        path.write_bytes(members[path.name])
    write_sums(kit)
    return kit


@pytest.mark.parametrize("bare", [False, True], ids=["kit", "tar"])
@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_a_newer_format_is_refused_with_its_sentence(command: str, bare: bool, newer_kit: Path) -> None:
    done = bundler(command, tar_of(newer_kit) if bare else newer_kit)
    assert done.returncode == 6
    told = done.stdout + done.stderr
    assert f"the bundle has format {FORMAT_VERSION + 1}, this bundler reads format {FORMAT_VERSION}" in told
    assert "use the bundler.pyz that stands in the kit, or a newer bundler" in told
    assert "Traceback" not in told
