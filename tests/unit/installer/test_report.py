"""What a report of an installed bundle is made of, and where reports are put."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import cast

import pytest

from bundler.core.errors import PreconditionError, UsageError
from bundler.core.kit import TrustPolicy, audit_kit_files, locate_kit
from bundler.core.report.files import write_report
from bundler.installer.engine import Engine
from bundler.installer.host import Host
from bundler.installer.receipts import record
from bundler.installer.report import evidence_of_installed, evidence_of_receipt
from tests.support.tiny_bundle import make_tiny_kit
from tests.unit.installer.test_receipts import FACTS, receipt_of


class _Engine:
    """Nothing but what it says of itself: receipts are told apart by that."""

    def facts(self) -> object:
        return FACTS


ENGINE = cast("Engine", _Engine())


def test_the_receipt_of_that_name_is_told(tmp_path: Path) -> None:
    host, receipt = Host(tmp_path / "state"), receipt_of(tmp_path)
    record(host, receipt)
    found = evidence_of_installed("service", ENGINE, host)
    assert found == evidence_of_installed(None, ENGINE, host) == evidence_of_receipt(receipt)
    assert (found.results, found.bundle.digest) == (receipt.checks, receipt.bundle_digest)
    assert found.provenance is not None
    assert (found.provenance.at, found.provenance.engine.system) == (receipt.installed_at, "Debian 12")


def test_what_is_not_there_and_what_is_there_twice(tmp_path: Path) -> None:
    host, receipt = Host(tmp_path / "state"), receipt_of(tmp_path)
    with pytest.raises(PreconditionError, match="nothing was installed here"):
        evidence_of_installed(None, ENGINE, host)
    record(host, receipt)
    with pytest.raises(PreconditionError, match="nothing called other"):
        evidence_of_installed("other", ENGINE, host)
    record(host, dataclasses.replace(receipt, manifest=dataclasses.replace(receipt.manifest, name="other")))
    (host.receipts_dir("AB:CD") / "service.json").rename(host.receipts_dir("AB:CD") / "again.json")
    record(host, receipt)
    with pytest.raises(UsageError, match="several bundles are installed"):
        evidence_of_installed(None, ENGINE, host)


def test_inside_a_kit_nothing_is_written(tmp_path: Path) -> None:
    found, kit = evidence_of_receipt(receipt_of(tmp_path)), make_tiny_kit(tmp_path / "out")
    for place in (kit, kit / "papers", kit / "page.html"):
        with pytest.raises(UsageError, match="inside the kit"):
            write_report(found, place)
    assert audit_kit_files(locate_kit(kit, TrustPolicy())) == []


def test_both_files_are_written_and_replaced(tmp_path: Path) -> None:
    found = evidence_of_receipt(receipt_of(tmp_path))
    place = tmp_path / "new" / "reports"
    page, document = write_report(found, place)
    assert (page, document) == (
        place / "service-1.0.0-linux-amd64-report.html",
        place / "service-1.0.0-linux-amd64-report.json",
    )
    page.write_bytes(page.read_bytes()[:3000])
    assert write_report(found, place) == (page, document)
    assert page.read_bytes().endswith(b"</html>\n")
    assert json.loads(document.read_bytes())["origin"] == "install"
    named, beside = write_report(found, tmp_path / "mine.html")
    assert (named.name, beside.name) == ("mine.html", "mine.json")
    assert sorted(path.name for path in place.iterdir()) == [page.name, document.name]


@pytest.mark.parametrize("name", ["mine.html", "mine.json"])
def test_nothing_else_is_overwritten(name: str, tmp_path: Path) -> None:
    found = evidence_of_receipt(receipt_of(tmp_path))
    (tmp_path / name).write_text("a letter\n")
    with pytest.raises(PreconditionError, match="not a report stands there"):
        write_report(found, tmp_path / "mine.html")
    assert (tmp_path / name).read_text() == "a letter\n"
    assert len(list(tmp_path.glob("mine.*"))) == 1


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    found = evidence_of_receipt(receipt_of(tmp_path))
    (tmp_path / "mine.html").symlink_to(tmp_path / "elsewhere.html")
    with pytest.raises(PreconditionError):
        write_report(found, tmp_path / "mine.html")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PreconditionError, match="cannot be written"):
        write_report(evidence_of_receipt(receipt_of(tmp_path)), tmp_path / "file" / "below")
