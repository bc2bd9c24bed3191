"""The joining of builder and installer: what was built is proved in this host's engine before it gets its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler.builder.space import StorePlace
from bundler.cli.installer_options import make_engine
from bundler.core.check_result import CheckResult
from bundler.core.checks import AnyCheck
from bundler.core.digest import Digest
from bundler.core.progress import Progress
from bundler.core.provenance import ProvingEngine
from bundler.core.reference import Reference
from bundler.installer.engine import RunSpec
from bundler.installer.rehearse import clear, load_named, rehearse, rehearse_mounted


class EngineRehearsal:
    """The installer's steps in the engine at ``url``, for the builder (``builder.build.Rehearsal``).

    ``state`` keeps the journal, so that the next build removes what a killed one left. ``where_in_code`` hooks Python
    processes of checks.
    """

    def __init__(self, url: str | None, state: Path, *, where_in_code: bool = False) -> None:
        self._url = url
        self._state = state
        self._where_in_code = where_in_code

    def store(self) -> StorePlace | None:
        """Where the engine stores images; None for one whose disk is not seen from here."""
        facts = make_engine(self._url).facts()
        if facts.data_root is None or facts.free_size is None:
            return None
        return StorePlace(facts.data_root, facts.peak_factor, facts.kept_factor)

    def engine(self) -> ProvingEngine:
        """What the engine says of itself."""
        return make_engine(self._url).facts().proving

    def clear(self, progress: Progress) -> None:
        """Remove what a killed rehearsal left in the engine."""
        clear(make_engine(self._url), self._state, progress)

    def full(self, kit: Path, progress: Progress) -> tuple[CheckResult, ...]:
        """Load, prove and check the kit without a name, and leave no trace of it."""
        return rehearse(kit, make_engine(self._url), self._state, progress, where_in_code=self._where_in_code)

    def mounted(
        self,
        checks: Sequence[AnyCheck],
        image_ids: Mapping[Reference, Digest],
        mounts: Mapping[str, Path],
        env: Mapping[str, str],
        progress: Progress,
    ) -> tuple[CheckResult, ...]:
        """Run the checks in images as the engine built them, with the models mounted."""
        surroundings = RunSpec((), 0.0, env=env, mounts=mounts)
        engine = make_engine(self._url)
        return rehearse_mounted(checks, image_ids, engine, surroundings, progress, where_in_code=self._where_in_code)

    def load(self, kit: Path, progress: Progress) -> tuple[Reference, ...]:
        """Bring the kit's images into the engine under their names."""
        return load_named(kit, make_engine(self._url), self._state, progress)
