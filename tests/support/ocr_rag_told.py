"""The first build of ocr-rag told again: its models are fetched while the CDN fails in the middle of the reranker."""

from __future__ import annotations

from dataclasses import dataclass

from testbed import stand_ins
from testbed.hub import Fault, Kind
from tests.support.ocr_rag_site import OcrRagSite

#: As much of the reranker as the original's first build left behind.
SHELL_SIZE = 72 * 1024


@dataclass(frozen=True)
class Fetched:
    """Two runs of ``bundler fetch``: the first while the CDN failed; ``asked_again`` is what the second read from it."""

    first: str
    first_code: int
    asked_again: list[str]


def fetch_through_a_failure(site: OcrRagSite) -> Fetched:
    """The CDN gives 72 KiB of the reranker, and then does not answer any more; afterwards it is there again."""
    reranker = f"/lfs/{stand_ins.RERANKER}/*model.safetensors"
    gone = Fault(reranker, Kind.NO_ANSWER, times=None, skip=1)
    site.hub.faults.add(Fault(reranker, Kind.CUT, after=SHELL_SIZE), gone)
    first = site.fetch("--attempts", "2", "--retry-delay", "10ms", "--timeout", "5s")
    assert site.hub.faults.struck(Kind.CUT) == 1
    assert site.hub.faults.struck(gone) >= 1
    site.hub.faults.end()
    site.hub.forget_requests()
    second = site.fetch()
    assert second.returncode == 0, second.stderr
    asked = [f"{seen.path} {seen.range}" for seen in site.hub.requests("/lfs/", method="GET")]
    return Fetched(first.stderr, first.returncode, asked)


def build_after_that(site: OcrRagSite) -> str:
    """Fetched through a failure, recorded, built with the LLM server's; what the builds printed."""
    fetch_through_a_failure(site)
    site.record()
    return site.bundle()
