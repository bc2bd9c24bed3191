"""One file of a Hub, as the downloaders get it; also a program, so that it can be killed: ``python -m``.

python -m tests.support.bringing URL FILE SIZE SHA256 [CONNECTIONS]      # brings it, prints its sha256
"""

from __future__ import annotations

import hashlib
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloader import Downloader, Order
from bundler.builder.hub.downloaders.choose import Chosen
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.retry import RetryPolicy
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile
from bundler.core.progress import SilentTask

MIB = 1 << 20
#: For tests that wait until a line which stands still is given up.
QUICK = RetryPolicy(first_delay_s=0.05, longest_delay_s=0.1, timeout_s=2, stall_window_s=1)
#: For all others: whoever shares two cores with much else is slow, and stands still for no longer than this.
PATIENT = RetryPolicy(first_delay_s=0.05, longest_delay_s=0.1, timeout_s=60, stall_window_s=60)
REPO = "acme/tiny"
PATH = "model.safetensors"


class CountingTask(SilentTask):
    """Adds up."""

    def __init__(self) -> None:
        self.size = 0

    def advance(self, size: int) -> None:
        """``size`` more."""
        self.size += size


def write_weights(path: Path, size: int, seed: int = 1) -> LockedFile:
    """Noise that differs from place to place, so that no byte can stand in for another; and what the lock says of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise, digest = random.Random(seed).randbytes(MIB), hashlib.sha256()
    with path.open("wb") as stream:
        for number in range(-(-size // MIB)):
            block = (number.to_bytes(8, "big") + noise[8 + number % 997 :] + noise[: number % 997])[
                : size - number * MIB
            ]
            stream.write(block)
            digest.update(block)
    return LockedFile(path=PATH, size=size, sha256=digest.hexdigest(), git_sha1=None)


@dataclass
class Bringing:
    """One file from one address into one place."""

    file: LockedFile
    remote: HttpFile
    part: Part
    limits: Limits = field(default_factory=lambda: Limits.of(QUICK))
    task: CountingTask = field(default_factory=CountingTask)

    def by(self, way: str = "ranged", attempt: int = 1) -> Downloader:
        """The downloader that is chosen."""
        return Chosen(self.limits, way).downloader(self.file, self.remote, self.part, attempt)

    def bring(self, way: str = "ranged", attempt: int = 1) -> Digests:
        """One attempt."""
        self.part.path.parent.mkdir(parents=True, exist_ok=True)
        return self.by(way, attempt).bring(Order(self.file, self.remote, self.part, self.task))


def main() -> None:
    """Bring one file, with the policy of the product."""
    url, path, size, sha256, *connections = sys.argv[1:]
    file = LockedFile(path=PATH, size=int(size), sha256=sha256, git_sha1=None)
    limits = Limits.of(RetryPolicy(), int(connections[0]) if connections else 8)
    digests = Bringing(file, HttpFile(url, hub=True), Part(Path(path)), limits).bring()
    print(digests.sha256)


if __name__ == "__main__":
    main()
