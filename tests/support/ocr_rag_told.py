"""The first build of ocr-rag told again: its models were fetched while the CDN failed in the middle of the reranker."""

from __future__ import annotations

from dataclasses import dataclass

from testbed import stand_ins
from testbed.hub import Fault, Kind
from tests.support.ocr_rag_site import OcrRagSite

#: As much of the reranker as the original's first build left behind.
SHELL_SIZE = 72 * 1024


@dataclass(frozen=True)
class Told:
    """What the build printed, and the two runs before it that fetched: one while the CDN failed, one after."""

    site: OcrRagSite
    first: str
    first_code: int
    second: str
    asked_again: list[str]
    build: str


def first_build_told_again(site: OcrRagSite) -> Told:
    """Fetch while the CDN is there for a part of the reranker alone, fetch again, record, build."""
    reranker = f"/lfs/{stand_ins.RERANKER}/*model.safetensors"
    site.hub.faults.add(Fault(reranker, Kind.CUT, after=SHELL_SIZE), Fault(reranker, Kind.NO_ANSWER, times=None))
    first = site.fetch("--attempts", "2", "--retry-delay", "10ms", "--timeout", "1s")
    assert site.hub.faults.struck(Kind.CUT) == 1
    assert not site.kit.exists()
    site.hub.faults.end()
    site.hub.forget_requests()
    second = site.fetch()
    assert second.returncode == 0, second.stderr
    asked = [f"{seen.path} {seen.range}" for seen in site.hub.requests("/lfs/", method="GET")]
    site.record()
    built = site.build()
    assert built.returncode == 0, built.stderr
    return Told(site, first.stderr, first.returncode, second.stdout, asked, built.stdout + built.stderr)
