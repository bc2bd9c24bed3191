"""The joining of builder and installer: a finished kit is proved in this host's engine before it gets its name."""

from __future__ import annotations

from pathlib import Path

from bundler.cli.installer_options import make_engine
from bundler.core.check_result import CheckResult
from bundler.core.progress import Progress
from bundler.installer.rehearse import rehearse


class EngineRehearsal:
    """Runs the installer's steps on a kit, nameless, and leaves no trace in the engine.

    ``state`` keeps the journal, so that the next rehearsal removes what a killed one left.
    """

    def __init__(self, url: str | None, state: Path) -> None:
        self._url = url
        self._state = state

    def __call__(self, kit: Path, progress: Progress) -> tuple[CheckResult, ...]:
        """The results of all checks, failed ones too; raises BundlerError where the kit cannot be loaded at all."""
        return rehearse(kit, make_engine(self._url), self._state, progress)
