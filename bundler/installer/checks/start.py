"""``start``: an image that nobody wrote checks for, started as in production, and listened to for a while."""

from __future__ import annotations

from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.progress import Progress
from bundler.installer.checks.models import held_image
from bundler.installer.checks.scene import told_output
from bundler.installer.egress.watch import watching
from bundler.installer.engine import Engine, RunSpec
from bundler.installer.image_user import user_for_checks

KIND = "start"


def check_start(
    where: str, image_id: Digest, watch_s: float, engine: Engine, progress: Progress, *, where_in_code: bool = False
) -> CheckResult:
    """It must not call out; it may go on running, or end with 0. ``where`` is the image for people.

    Raises CheckError where it could not be proved that attempts to call out are seen: `watching`.
    """
    progress.note(f"start {where} as in production, and listen for {watch_s:g} s")
    with watching(engine, progress, where_in_code=where_in_code) as watch:
        user = user_for_checks(held_image(engine, image_id).config)
        result, no_egress = watch.run(image_id, RunSpec((), watch_s, user))
    ended = "it went on running" if result.exit_code is None else f"it ended with code {result.exit_code}"
    faults = [] if result.exit_code in {None, 0} else [ended]
    faults += [no_egress.told] if no_egress.attempts else []
    well = f"{ended}, listened to for {result.seconds:.1f} s"
    detail = "; ".join(faults) + told_output(result.output) if faults else well
    return CheckResult(f"start of {where}", KIND, not faults, detail, result.seconds, no_egress)
