"""Receipts say the same after they were written and read, and changed ones are not believed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bundler.core.bundle import open_bundle
from bundler.core.check_result import CheckResult
from bundler.core.errors import PreconditionError
from bundler.core.kit import TrustPolicy
from bundler.installer.engine import GRAPH, EngineFacts
from bundler.installer.host import Host
from bundler.installer.receipt import InstalledImage, PlacedFile, Receipt
from bundler.installer.receipts import current, current_of, former, record
from tests.bundles import make_bundle
from tests.support.report_evidence import FAILED, NO_GPU, PASSED, WEAK

FACTS = EngineFacts("docker", "20.10", "1.41", "linux/amd64", GRAPH, "AB:CD", None, None, 0.0, 0.0, "Debian 12", "6.1")


def receipt_of(directory: Path, version: str = "1.0.0") -> Receipt:
    bundle = open_bundle(make_bundle(directory, version=version), TrustPolicy())
    images = tuple(
        InstalledImage(image.reference, image.image_id, image.image_id, image.manifest_digest, image.diff_ids)
        for image in bundle.images
    )
    file = bundle.manifest.files[0]
    return Receipt(
        run_id="run",
        installed_at="2024-05-01T00:00:00+00:00",
        installed_by="bundler 0",
        kit=Path("/media/kit"),
        tar_sum=bundle.kit.tar_sum,
        manifest_bytes=bundle.manifest_bytes,
        manifest=bundle.manifest,
        engine=FACTS,
        images=images,
        files=(PlacedFile(Path("/srv/compose.yaml"), file.size, file.sha256),),
        into=Path("/srv"),
        checks=(CheckResult("greets", "run", True, "as expected", 0.25), PASSED, FAILED, WEAK, NO_GPU),
        unread=("blobs/sha256/x",),
    )


def test_read_is_what_was_recorded(tmp_path: Path) -> None:
    host, receipt = Host(tmp_path / "state"), receipt_of(tmp_path)
    record(host, receipt)
    assert current(host, "AB:CD") == (receipt,)
    assert current_of(host, "AB:CD", "service") == receipt
    assert current(host, "other") == ()


def test_a_receipt_of_before_is_read(tmp_path: Path) -> None:
    host = Host(tmp_path / "state")
    path = record(host, receipt_of(tmp_path))
    document = json.loads(path.read_text())
    del document["engine"]["system"], document["engine"]["kernel"]
    for check in document["checks"]:
        for key in ("control", "timelines"):
            check.get("no_egress", {}).pop(key, None)
    path.write_text(json.dumps(document))
    (read,) = current(host, "AB:CD")
    assert (read.engine.system, read.engine.kernel) == ("", "")
    assert [seen.timelines for check in read.checks if (seen := check.no_egress)] == [()] * 3


def test_the_one_before_is_kept_as_former(tmp_path: Path) -> None:
    host = Host(tmp_path / "state")
    one, two = receipt_of(tmp_path, "1.0.0"), receipt_of(tmp_path, "1.1.0")
    record(host, one)
    record(host, dataclasses.replace(one, run_id="again"))
    assert former(host, "AB:CD") == ()
    record(host, two)
    assert current(host, "AB:CD") == (two,)
    assert [receipt.manifest.version for receipt in former(host, "AB:CD")] == ["1.0.0"]


def test_people_and_programs_find_the_models_in_it(tmp_path: Path) -> None:
    path = record(Host(tmp_path / "state"), receipt_of(tmp_path))
    document = json.loads(path.read_text())
    assert document["models"][0]["files"][0]["path"] == "1_Pooling/config.json"
    assert document["images"][1]["reference"] == "docker.io/bundler-test/service:1.0.0"
    assert document["members_not_read"] == ["blobs/sha256/x"]
    assert document["signed"] is False


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version\\":\\"1.0.0', '"version\\":\\"1.0.1'),
        ('"receipt_version":1', '"receipt_version":2'),
        ('"passed":true', '"passed":1'),
        ('"diff_ids":["sha256:', '"diff_ids":["md5:'),
        ("{", ""),
    ],
)
def test_changed_receipt_is_not_believed(tmp_path: Path, old: str, new: str) -> None:
    host = Host(tmp_path / "state")
    path = record(host, receipt_of(tmp_path))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PreconditionError) as caught:
        current(host, "AB:CD")
    assert caught.value.where == str(path)
