"""What a report is made of: the bundle, the results of its checks, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from bundler.core.bundle import VerifiedBundle
from bundler.core.bundle_manifest import BundleManifest
from bundler.core.check_result import CheckResult, parse_check_result
from bundler.core.digest import Digest
from bundler.core.errors import BundleError, PreconditionError
from bundler.core.json_fields import Fields
from bundler.core.layout import PAPERS
from bundler.core.oci import parse_object
from bundler.core.provenance import Provenance, parse_provenance

CHECKS = "checks.json"
#: Where the results come from: from the host that built the kit, or from the one that it was installed on.
REHEARSAL, INSTALL = "rehearsal", "install"
FULL, MOUNTED, OFF = "full", "mounted", "off"
MODES = (FULL, MOUNTED, OFF)


@dataclass(frozen=True)
class KnownBundle:
    """A bundle by its ``bundle.json``: as a value, its digest, and the digest of the tar; None: it is not known."""

    manifest: BundleManifest
    digest: Digest
    tar_sum: Optional[Digest]


@dataclass(frozen=True)
class Evidence:
    """``mode`` is the rehearsal's, ``full`` for an install; ``provenance`` is None where nothing was run or kept."""

    origin: str
    mode: str
    bundle: KnownBundle
    results: tuple[CheckResult, ...]
    provenance: Optional[Provenance]

    @property
    def manifest(self) -> BundleManifest:
        """What the bundle holds."""
        return self.bundle.manifest


def evidence_of_kit(bundle: VerifiedBundle) -> Evidence:
    """What a kit's papers say; opening the bundle compared them with the kit's sums.

    Raises PreconditionError where there are none, BundleError where they are not as they were written, or another
    bundle's.
    """
    directory = bundle.kit.directory
    path = directory / PAPERS / CHECKS if directory else None
    if path is None or not path.is_file():
        raise PreconditionError(
            "there are no papers to report on" + ("" if directory else ": a tar alone carries none"),
            where=str(path or bundle.kit.tar),
            remedy="name the kit's directory; or install it, and report on what is installed",
        )
    known = KnownBundle(bundle.manifest, Digest.of(bundle.manifest_bytes), bundle.kit.tar_sum)
    return evidence_of_papers(path.read_bytes(), known, str(path))


def evidence_of_papers(checks: bytes, known: KnownBundle, where: str) -> Evidence:
    """What ``papers/checks.json`` says of the bundle; raises BundleError as `evidence_of_kit` does."""
    fields = Fields(parse_object(checks, where), where)
    bundle = fields.optional_object("bundle")  # papers of before have none
    if bundle and bundle.digest("digest") != known.digest:
        raise BundleError(
            f"these are the papers of another bundle, {bundle.text('name')} {bundle.text('version')}",
            where=where,
            remedy="bring the kit here again, whole and unchanged",
        )
    proved = fields.optional_object("proved")
    return Evidence(
        origin=REHEARSAL,
        mode=fields.choice("rehearsal", MODES),
        bundle=known,
        results=tuple(map(parse_check_result, fields.objects("checks"))),
        provenance=parse_provenance(proved) if proved else None,
    )
