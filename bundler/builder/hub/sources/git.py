"""The program git, as bundler calls it: it asks nobody anything, runs nothing of a repository, and says what went wrong.

Credentials are git's own affair: its helpers, ``~/.netrc``, keys of ssh. A terminal or a window never opens.
"""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from bundler.builder.hub.downloaders.trust import trusting
from bundler.builder.hub.limits import HaltedError
from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.sources.document_failures import untrusted
from bundler.core.atomic import write_atomic
from bundler.core.errors import DownloadError

_PROTOCOLS = ("https", "http", "ssh", "git", "file")
_SETTINGS = {
    "protocol.allow": "never",  # ext:: and other helpers run programs; what is allowed follows
    "core.askPass": "",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.interactive": "false",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.lowSpeedLimit": "1",
}
_DROPPED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    # What is secret and not for git.
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_ENDPOINT",
)
_LONGEST_S = 3600.0
_POLL_S = 0.5
_LOGIN = re.compile(r"(?<=://)[^/@\s']+@")
_AUTHORITY = re.compile(r"certificate verification failed|SSL certificate problem")
_WHO = re.compile(
    r"could not read (?:Username|Password)|Authentication failed|terminal prompts disabled|Permission denied|"
    r"Host key verification failed|returned error: 40[13]"
)
_PASSING = re.compile(
    r"Could not resolve|Connection (?:refused|reset|closed|timed out)|timed out|Timeout|too slow|early EOF|RPC failed|hung up|"
    r"unexpected disconnect|Empty reply|Failed to connect|Couldn't connect|returned error: (?:408|425|429|5\d\d)"
)
_MISSING = re.compile(r"not found|returned error: 404|does not appear to be a git repository|does not exist")


@dataclass(frozen=True)
class Git:
    """git for one repository. ``url`` is where it comes from; without one nothing may be asked over a network.

    ``where`` tells of it in errors. ``directory`` is the git directory (``.git``, or a bare one). ``ca_bundle`` is
    trusted beside what is trusted anyway; git takes one file, which is written beside ``directory``. Once ``halt`` is
    set, a command that runs ends.
    """

    where: str
    url: str | None = None
    directory: Path | None = None
    ca_bundle: Path | None = None
    timeout_s: float = 20.0
    halt: threading.Event | None = None

    def __call__(self, *arguments: str, given: bytes = b"", into: BinaryIO | None = None) -> bytes:
        """Run one command and give its output, or write it ``into`` a file.

        Raises TransientError where another attempt may help, DownloadError where it cannot.
        """
        code, output, told = self._run(arguments, given, into)
        if code == 0:
            return output
        raise self._failure(_LOGIN.sub("", told).strip())

    def succeeds(self, *arguments: str) -> bool:
        """Whether the command ends well."""
        return self._run(arguments, b"", None)[0] == 0

    def _run(self, arguments: Sequence[str], given: bytes, into: BinaryIO | None) -> tuple[int, bytes, str]:
        command = ["git", *self._options(), *arguments]
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(  # a session of its own: ssh finds no terminal to ask at
                command, stdin=pipe, stdout=into or pipe, stderr=pipe, env=self._environment(), start_new_session=True
            )
        except FileNotFoundError as error:
            remedy = "install git (Debian, Ubuntu: apt-get install git), or take another source"
            raise DownloadError("the program git is not installed", where=self.where, remedy=remedy) from error
        try:
            output, told = self._ended(process, given)
        finally:
            if process.returncode is None:  # we were stopped: so are git and its children
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode, output or b"", told.decode("utf-8", errors="replace")

    def _ended(self, process: subprocess.Popen[bytes], given: bytes) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + _LONGEST_S
        while time.monotonic() < deadline:
            try:
                return process.communicate(given, timeout=_POLL_S)
            except subprocess.TimeoutExpired:
                if self.halt is not None and self.halt.is_set():
                    raise HaltedError from None
        raise TransientError(f"git did not end in {_LONGEST_S:.0f} s")

    def _options(self) -> list[str]:
        settings = {**_SETTINGS, "http.lowSpeedTime": f"{max(1, self.timeout_s):.0f}"}
        if self.url is not None:
            settings |= {f"protocol.{name}.allow": "always" for name in _PROTOCOLS}
        place = [f"--git-dir={self.directory}"] if self.directory else []
        return [*place, *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]

    def _environment(self) -> Mapping[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in _DROPPED and not name.startswith("GIT_TRACE")
        }
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never"}
        trusted = (
            {"GIT_SSL_CAINFO": str(_authorities(self.ca_bundle, self.directory))}
            if self.ca_bundle and self.directory
            else {}
        )
        return {**kept, **quiet, **trusted, "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}

    def _failure(self, told: str) -> Exception:
        lines = [line for line in told.splitlines() if line.startswith(("fatal:", "error:", "remote:"))]
        short = "; ".join(lines[-2:]) or told[-300:] or "no reason is told"
        for pattern, kind in ((_AUTHORITY, self._tls), (_WHO, self._unknown), (_PASSING, TransientError)):
            if pattern.search(told):
                return kind(short)
        if "dubious ownership" in told:
            remedy = "run as the user to whom the clone belongs, or name it in git's own safe.directory"
            return DownloadError("git does not trust a clone of another user", where=self.where, remedy=remedy)
        if _MISSING.search(told):
            remedy = "check its address: git ls-remote ADDRESS shows what git sees"
            return DownloadError(f"there is no such git repository ({short})", where=self.where, remedy=remedy)
        return DownloadError(f"git fails: {short}", where=self.where, remedy="try the address by git ls-remote ADDRESS")

    def _tls(self, told: str) -> Exception:
        host = urlsplit(self.url or "").hostname or ""
        return untrusted(self.url or "", host, told, self.where)

    def _unknown(self, told: str) -> Exception:
        remedy = (
            "give git a credential helper, a line in ~/.netrc or a key of ssh, until git ls-remote ADDRESS works alone"
        )
        return DownloadError(
            f"the git server wants to know who asks, or has no such repository ({told})",
            where=self.where,
            remedy=remedy,
        )


def _authorities(ca_bundle: Path, directory: Path) -> Path:
    """Everything that our own clients trust, in one file (``http.sslCAInfo`` of git-config(1))."""
    found = trusting(ca_bundle).get_ca_certs(binary_form=True)
    path = directory.with_name("authorities.pem")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode())
    return path
