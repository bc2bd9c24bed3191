"""Where a check takes place, and what becomes of what was seen there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from bundler.core.check_result import CheckResult
from bundler.core.checks import AnyCheck, kind_of
from bundler.core.digest import Digest
from bundler.core.egress import NoEgress
from bundler.installer.egress.watch import Watch
from bundler.installer.engine import Engine, RunSpec

_SHOWN_OUTPUT = 400


@dataclass(frozen=True)
class Scene:
    """An image in an engine, and who listens; ``surroundings`` gives mounts, and variables below the check's own.

    Its ``user`` is for checks that name none, None for the image's. ``model_files`` are the absolute paths of the files of all
    models in the image.
    """

    engine: Engine
    watch: Watch
    image_id: Digest
    surroundings: RunSpec
    model_files: tuple[str, ...] = ()

    def spec(self, check: AnyCheck, command: Optional[tuple[str, ...]] = None) -> RunSpec:
        """How the check's command, or another one in its place, is run."""
        env = {**self.surroundings.env, **check.env}
        wanted = check.run if command is None else command
        user = self.surroundings.user if check.user is None else check.user
        return RunSpec(wanted, check.within_s, user, env, self.surroundings.mounts, gpu=check.needs_gpu)


@dataclass(frozen=True)
class Seen:
    """What was seen of a check: its faults, how long it took, what it printed, what it tried to reach.

    ``output`` is None where the faults say all that is to be told of it.
    """

    faults: Sequence[str]
    seconds: float
    output: Optional[str]
    no_egress: NoEgress
    measured: Mapping[str, float] = field(default_factory=dict)
    well: str = "as expected"

    def verdict(self, check: AnyCheck) -> CheckResult:
        """The result: attempts to call out are faults, but for those that the check allows."""
        no_egress = self.no_egress.allowing(check.allow)
        faults = [*self.faults, *([no_egress.told] if no_egress.attempts else [])]
        detail = "; ".join(faults) + told_output(self.output) if faults else self.well
        return CheckResult(
            check.name, kind_of(check), not faults, detail, self.seconds, no_egress, measured=self.measured
        )


def told_output(output: Optional[str]) -> str:
    """The end of what a failed command printed, as it follows its faults; nothing for None."""
    if output is None:
        return ""
    text = " ".join(output.split())
    return f"; it printed: {text[-_SHOWN_OUTPUT:]}" if text else "; it printed nothing"
