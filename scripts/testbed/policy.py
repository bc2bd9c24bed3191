"""No daemon starts while packages are installed: the rule that Debian policy, 9.3.3.1, has for that (``policy-rc.d``)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
#: Says whose the rule is: one that a killed run left would keep every service of the machine from starting, for ever.
_OURS = re.compile(r"# written by bundler's test bed, process (\d+)$", re.MULTILINE)


@contextlib.contextmanager
def no_services(policy: Path = POLICY) -> Iterator[None]:
    """Forbid maintainer scripts to start daemons for the time of the block; a rule of the machine's own stays."""
    if _left_behind(policy):
        policy.unlink()
    if policy.exists():
        yield
        return
    policy.write_text(f"#!/bin/sh\n# written by bundler's test bed, process {os.getpid()}\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _left_behind(policy: Path) -> bool:
    """Whether the rule is that of a run which is gone."""
    found = _OURS.search(policy.read_text()) if policy.exists() else None
    return found is not None and not Path("/proc", found[1]).exists()
