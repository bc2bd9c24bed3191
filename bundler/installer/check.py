"""``check``: run the checks of what is installed once more, in containers without a network. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.errors import CheckError, PreconditionError
from bundler.core.progress import Progress
from bundler.core.reference import Reference
from bundler.installer import receipts
from bundler.installer.checks.running import run_checks
from bundler.installer.engine import Engine
from bundler.installer.host import Host
from bundler.installer.receipt import Receipt


@dataclass(frozen=True)
class Checked:
    """The results of one installed bundle's checks."""

    title: str
    results: tuple[CheckResult, ...]


def check_installed(
    name: Optional[str], engine: Engine, host: Host, progress: Progress, *, where_in_code: bool = False
) -> tuple[Checked, ...]:
    """The results for the bundle called ``name``, or for all that were installed into this engine (None).

    ``where_in_code`` hooks Python processes, so that attempts to call out are told with their lines.
    Raises PreconditionError where nothing of that name was installed, CheckError where an image of it is gone or its
    name was moved: then there is nothing to run the checks in.
    """
    engine_id = engine.facts().engine_id
    with host.lock():
        engine.remove_leftovers()
        found = [receipt for receipt in receipts.current(host, engine_id) if name in {None, receipt.manifest.name}]
        if not found:
            raise PreconditionError(
                f"nothing called {name} was installed into this engine" if name else "nothing was installed here",
                where=str(host.receipts_dir(engine_id)),
                remedy="install the kit first; or name the engine with --host, or the --state-dir that was used for it",
            )
        return tuple(_check(receipt, engine, progress, where_in_code=where_in_code) for receipt in found)


def _check(receipt: Receipt, engine: Engine, progress: Progress, *, where_in_code: bool) -> Checked:
    progress.step(f"check {receipt.manifest.title}")
    image_ids: dict[Reference, Digest] = {}
    for image in receipt.images:
        held = engine.find(image.reference)
        if held is None or held.image_id != image.engine_id:
            raise CheckError(
                "the image is gone" if held is None else f"the name stands for another image, {held.image_id}",
                where=str(image.reference),
                remedy="see `bundler audit`; installing the kit again puts it right",
            )
        image_ids[image.reference] = image.engine_id
    results = run_checks(receipt.manifest, image_ids, engine, progress, where_in_code=where_in_code)
    return Checked(receipt.manifest.title, results)
