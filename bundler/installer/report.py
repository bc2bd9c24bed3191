"""What a report of an installed bundle is made of: its receipt on this host."""

from __future__ import annotations

from typing import Optional

from bundler.core.errors import PreconditionError, UsageError
from bundler.core.provenance import Provenance
from bundler.core.report.evidence import FULL, INSTALL, Evidence, KnownBundle
from bundler.installer import receipts
from bundler.installer.engine import Engine
from bundler.installer.host import Host
from bundler.installer.receipt import Receipt


def evidence_of_installed(name: Optional[str], engine: Engine, host: Host) -> Evidence:
    """What the receipt of the bundle called ``name`` says, or of the only one that was installed here (None).

    Raises PreconditionError where there is none, UsageError where there are several to choose from.
    """
    engine_id = engine.facts().engine_id
    found = [receipt for receipt in receipts.current(host, engine_id) if name in {None, receipt.manifest.name}]
    if not found:
        raise PreconditionError(
            f"nothing called {name} was installed into this engine" if name else "nothing was installed here",
            where=str(host.receipts_dir(engine_id)),
            remedy="name a kit's directory; or the engine with --host, or the --state-dir that was used for it",
        )
    if len(found) > 1:
        names = ", ".join(receipt.manifest.name for receipt in found)
        raise UsageError(
            f"several bundles are installed: {names}", where="bundler report", remedy="name one of them, or a kit"
        )
    return evidence_of_receipt(found[0])


def evidence_of_receipt(receipt: Receipt) -> Evidence:
    """The receipt's own words."""
    return Evidence(
        origin=INSTALL,
        mode=FULL,
        bundle=KnownBundle(receipt.manifest, receipt.bundle_digest, receipt.tar_sum),
        results=receipt.checks,
        provenance=Provenance(receipt.installed_at, receipt.installed_by, receipt.engine.proving),
    )
