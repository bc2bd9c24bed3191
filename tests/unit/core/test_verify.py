"""``verify`` reads everything once, reports all that is wrong, and knows the digest of the whole tar afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bundler.builder.layer import layer_chunks
from bundler.core.digest import Digest
from bundler.core.errors import BundleError, PreconditionError
from bundler.core.kit import TrustPolicy
from bundler.core.progress import SilentProgress, SilentTask, Task
from bundler.core.tarball import read_members
from bundler.core.verify import VerifyReport, verify_kit
from tests.support import tiny_bundle
from tests.support.tiny_bundle import Tiny, file_entries, make_tiny_kit, write_tar


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return make_tiny_kit(tmp_path / "out")


def tar_of(kit: Path) -> Path:
    return next(kit.glob("*.tar"))


def verified(path: Path) -> VerifyReport:
    return verify_kit(path, TrustPolicy(), SilentProgress())


def flip(path: Path, *positions: int) -> None:
    content = bytearray(path.read_bytes())
    for position in positions:
        content[position] ^= 1
    path.write_bytes(content)


class Counting(SilentProgress):
    """Counts the bytes that are read."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0

    def task(self, label: str, total_size: int | None) -> Task:
        self.total = total_size
        outer = self

        class Counter(SilentTask):
            def advance(self, size: int) -> None:
                outer.done += size

        return Counter()


def test_the_tars_digest_comes_from_the_one_reading(kit: Path) -> None:
    progress = Counting()
    report = verify_kit(kit, TrustPolicy(), progress)
    assert report.tar_sum == Digest.of(tar_of(kit).read_bytes())
    assert progress.total == progress.done == report.read_size == tar_of(kit).stat().st_size
    assert verified(tar_of(kit)).tar_sum == report.tar_sum
    assert (report.problems, report.signed, report.members) == ((), False, 13)


def test_the_digest_is_right_for_a_damaged_tar_too(kit: Path) -> None:
    with tar_of(kit).open("rb") as stream:
        members = read_members(stream, "x")
    for position in (0, members[0].offset + 5, members[3].offset, tar_of(kit).stat().st_size - 1):
        flip(tar_of(kit), position)
        report = verified(kit)
        assert report.tar_sum == Digest.of(tar_of(kit).read_bytes())
        assert any("SHA256SUMS" in problem.what for problem in report.problems)
        flip(tar_of(kit), position)
    assert verified(kit).problems == ()


def test_all_problems_are_told_at_once(kit: Path) -> None:
    with tar_of(kit).open("rb") as stream:
        members = {item.name: item for item in read_members(stream, "x")}
    first, payload = next(iter(members.values())), members["files/compose.yaml"]
    flip(tar_of(kit), first.offset + first.size // 2, payload.offset)
    (kit / "README.txt").write_text("changed")
    (kit / "bundler.pyz").unlink()
    (kit / "more").touch()
    where = " ".join(problem.where for problem in verified(kit).problems)
    for name in (first.name, payload.name, "README.txt", "bundler.pyz", "more", tar_of(kit).name):
        assert name in where, name


def test_a_model_layer_must_hold_its_model(tmp_path: Path) -> None:
    """All digests hold, and the layer is another one: a file changed, one missing, one more, one a link."""
    payload = tmp_path / "payload"
    payload.write_bytes(b"x")
    honest = Tiny()
    wrong = file_entries({"app/models/m/config.json": b"{}", "app/models/m/more.bin": b"1"})

    class Lying(Tiny):
        @property
        def layers(self) -> tuple[tuple[tiny_bundle.Entry, ...], ...]:
            return (wrong, *honest.layers[1:])

    write_tar(tmp_path / "x.tar", Lying(), payload)
    told = {problem.what: problem.difference for problem in verified(tmp_path / "x.tar").problems}
    assert told == {
        "app/models/m/model.safetensors is missing": "missing",
        "app/models/m/more.bin is not a file of the model": "extra",
        "app/models/m/config.json is not as bundle.json says": "changed",
    }


def test_a_model_layer_that_is_no_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = tmp_path / "payload"
    payload.write_bytes(b"x")
    monkeypatch.setattr(
        tiny_bundle,
        "layer_chunks",
        lambda entries: [b"no tar" * 500] if "app/models/m" in {e.name for e in entries} else layer_chunks(entries),
    )
    write_tar(tmp_path / "x.tar", Tiny(), payload)
    (problem,) = verified(tmp_path / "x.tar").problems
    assert "not a layer" in problem.what or "missing" in problem.what


@pytest.mark.parametrize("name", ["head/bundle.json", "head", "papers", "SHA256SUMS"])
def test_missing_parts_of_a_kit_are_findings(kit: Path, name: str) -> None:
    if (kit / name).is_dir():
        shutil.rmtree(kit / name)
    else:
        (kit / name).unlink()
    if name == "SHA256SUMS":
        with pytest.raises(BundleError, match="not a kit"):
            verified(kit)
    else:
        assert any("missing" in problem.what for problem in verified(kit).problems)


def test_a_missing_tar_is_a_missing_part(kit: Path) -> None:
    tar_of(kit).unlink()
    with pytest.raises(PreconditionError, match="is missing") as raised:
        verified(kit)
    assert [problem.difference for problem in raised.value.as_problems()] == ["missing"]
