"""The host that a kit is installed on: where its state stands, what it demands of a kit, and one run at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bundler.core.errors import PreconditionError
from bundler.core.kit import TrustPolicy
from bundler.core.locking import exclusive_lock

SYSTEM_STATE = Path("/var/lib/bundler")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Host:
    """``state`` holds receipts, journals, the log and the default place of payload files; times are in seconds."""

    state: Path
    policy: TrustPolicy = field(default_factory=TrustPolicy)
    lock_timeout_s: float = 0.0

    def receipts_dir(self, engine_id: str) -> Path:
        """Where the receipts of one engine stand."""
        return self.state / "receipts" / file_name(engine_id)

    def journal_path(self, engine_id: str) -> Path:
        """What a run into that engine has begun and not finished; no file: nothing."""
        return self.state / "journals" / f"{file_name(engine_id)}.json"

    def payload_dir(self, title: str) -> Path:
        """Where the payload files of a bundle go unless the operator says otherwise."""
        return self.state / "files" / title

    @property
    def log_path(self) -> Path:
        """The log of installs and audits."""
        return self.state / "log.jsonl"

    @contextmanager
    def lock(self, told: Optional[Callable[[str], None]] = None) -> Iterator[None]:
        """Keep other runs on this host out; ``told`` hears it where one is waited for.

        Raises PreconditionError where they do not end, or state cannot be kept.
        """
        self._require_writable()
        with exclusive_lock(self.state / "lock", "installs on this host", self.lock_timeout_s, told):
            yield

    def _require_writable(self) -> None:
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.state, os.W_OK | os.X_OK)
        except OSError as error:
            raise _no_state(str(self.state), error.strerror or str(error)) from error
        if not writable:
            raise _no_state(str(self.state), "permission denied")


def default_state(environ: Mapping[str, str], user_id: int) -> Path:
    """``/var/lib/bundler`` for root, else ``bundler`` below XDG's directory for state.

    Source: XDG Base Directory Specification 0.8. Raises PreconditionError where neither variable says where that is.
    """
    if user_id == 0:
        return SYSTEM_STATE
    base = _absolute(environ.get("XDG_STATE_HOME"))
    home = _absolute(environ.get("HOME"))
    if base is None and home is None:
        raise _no_state("the environment", "neither XDG_STATE_HOME nor HOME is set")
    return (base or Path(str(home)) / ".local" / "state") / "bundler"


def file_name(text: str) -> str:
    """``text`` as the name of a file, whatever it holds."""
    return _NOT_IN_A_NAME.sub("_", text).strip("._") or "unnamed"


def _absolute(value: Optional[str]) -> Optional[Path]:
    """The specification asks to ignore relative paths."""
    return Path(value) if value and value.startswith("/") else None


def _no_state(where: str, why: str) -> PreconditionError:
    return PreconditionError(
        f"there is no place to keep receipts: {why}",
        where=where,
        remedy="name a directory that this user may write with --state-dir DIR, the same one each time",
    )
