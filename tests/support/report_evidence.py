"""Evidence for reports, with all that can stand in one: made of a real bundle's values, as papers would give it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bundler.core.bundle import open_bundle
from bundler.core.check_result import CheckResult
from bundler.core.code_place import CodePlace, Frame
from bundler.core.digest import Digest
from bundler.core.egress import TRIPWIRE, WEAKER, Attempt, NoEgress
from bundler.core.kit import TrustPolicy
from bundler.core.provenance import Control, Provenance, ProvingEngine
from bundler.core.report.evidence import FULL, REHEARSAL, Evidence, KnownBundle
from bundler.core.timeline import MAPPED, OPENED, FileLoad, ProcessSpan, Timeline
from tests.bundles import make_bundle

CONTROL = Control("192.0.2.1", 9, "control.bundler.invalid", 0.0121, 0.0123)
ENGINE = ProvingEngine("docker", "28.5.1", "1.51", "linux/amd64", "containerd", "Debian GNU/Linux 12", "6.1.0-28-amd64")
PROVENANCE = Provenance("2026-11-26T22:41:20+00:00", "bundler 0.1.0", ENGINE)
TIMELINE = Timeline(
    seconds=9.37,
    pause_s=0.052,
    processes=(
        ProcessSpan(
            1, "python3 -m service --port 8000 --workers 2 --models /app/models/tiny --log-level info", 0.08, 9.3
        ),
        ProcessSpan(7, "python3 -c from multiprocessing.resource_tracker import main;main(5)", 1.2, 9.3),
        ProcessSpan(9, "python3 -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)", 1.25, 9.3),
        ProcessSpan(23, "uname -p", 0.61, 0.66),
    ),
    loads=(
        FileLoad("/app/models/tiny/config.json", OPENED, 1, 2.05, 2.05),
        FileLoad("/app/models/tiny/model.safetensors", MAPPED, 1, 2.2, 9.3),
        FileLoad("/app/models/tiny/1_Pooling/config.json", OPENED, 9, 4.4, 4.5),
    ),
)
PLACE = CodePlace("socket.getaddrinfo", "huggingface.co", None, 1, 0.91, (Frame("/srv/service/load.py", 12, "load"),))
ASKED = Attempt(
    "DNS", "192.0.2.53", 53, "huggingface.co", "A, AAAA", 0.92, 4, ("python3 -m service (process 1)",), (PLACE,)
)
SENT = Attempt("TCP", "203.0.113.7", 443, None, None, 5.104, 1, ())
BESIDE = Attempt("DNS", "192.0.2.53", 53, "db.internal", "A", 3.1, 2, ("python3 -m service (process 9)",))

SILENT = NoEgress(TRIPWIRE, control=CONTROL, timelines=(TIMELINE,))
LEAKING = NoEgress(
    TRIPWIRE,
    attempts=(ASKED, SENT),
    allowed=(BESIDE,),
    where_in_code=True,
    control=CONTROL,
    timelines=(TIMELINE,),
)
UNHEARD = NoEgress(WEAKER, "root's rights are needed to listen, and this is another user")

MODEL = CheckResult("tiny in bundler-test/service:1.0.0", "models", True, "3 files have their locked sha256", 0.42)
PASSED = CheckResult("greets", "run", True, "as expected", 9.37, SILENT, measured={"cold_s": 1.9, "warm_s": 0.4})
FAILED = CheckResult("answers", "run", False, f"{LEAKING.told}; it printed nothing", 12.5, LEAKING)
WEAK = CheckResult("counts", "run", True, "as expected", 1.25, UNHEARD)
NO_GPU = CheckResult("golden", "golden", False, "needs a GPU, and there is none", 0.001, proved_here=False)


def evidence(
    directory: Path,
    *results: CheckResult,
    mode: str = FULL,
    provenance: Provenance | None = PROVENANCE,
    **wanted: object,
) -> Evidence:
    """The evidence of a rehearsal with these results; ``wanted`` as for `make_bundle`."""
    bundle = open_bundle(make_bundle(directory, **wanted), TrustPolicy())
    known = KnownBundle(bundle.manifest, Digest.of(bundle.manifest_bytes), bundle.kit.tar_sum)
    return Evidence(REHEARSAL, mode, known, results, provenance)


def renamed(found: Evidence, name: str) -> Evidence:
    """The same of a bundle with another name, whatever it holds."""
    manifest = dataclasses.replace(found.manifest, name=name)
    return dataclasses.replace(found, bundle=dataclasses.replace(found.bundle, manifest=manifest))
