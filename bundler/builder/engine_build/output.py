"""What a builder says: lines for people, secrets taken out, the end kept for the message when a step fails."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

from bundler.builder.dockerfile import Dockerfile
from bundler.builder.engine_build.values import BuilderJob, SecretSource
from bundler.builder.engine_build.waiting import NOTE_INTERVAL_S, repeated
from bundler.core.errors import BuildError, Problem
from bundler.core.progress import Progress

_TAIL_LINES = 30
_SHORTEST_SECRET = 4
_HIDDEN = "********"
#: ``#7 [stage-1 2/5] RUN …`` (BuildKit's plain progress) and ``Step 3/9 : RUN …`` (classic).
_HEADING = re.compile(r"(?:#\d+ )?(\[[^\]]*\d+/\d+\]|Step \d+/\d+ :) (?P<step>[A-Z]+ .*)")
#: BuildKit since 23 names the place of a fault: ``Dockerfile.base:7``.
_PLACE = re.compile(r"(?:#\d+ [\d.]+ )?(?P<name>\S+):(?P<line>\d+)")
#: What BuildKit does after the last step has no number.
_EXPORT = re.compile(r"#\d+ exporting to ")
_LAST_STEP = "storing the image"
PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def proxies() -> dict[str, str]:
    """Proxies of the environment. Both builders know these names as arguments and store them nowhere."""
    names = [*PROXY_NAMES, *(name.lower() for name in PROXY_NAMES)]
    return {name: os.environ[name] for name in names if os.environ.get(name)}


class Redactor:
    """Takes the values of secrets, line by line, and passwords of proxies out of text."""

    def __init__(self, secrets: Iterable[SecretSource]) -> None:
        values: set[str] = set()
        for secret in secrets:
            values.update(secret_lines(secret))
        for address in proxies().values():
            values.update(_passwords(address))
        self._values = sorted((value for value in values if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """``text`` without them."""
        for value in self._values:
            text = text.replace(value, _HIDDEN)
        return text


def _passwords(address: str) -> set[str]:
    """The password in a proxy's address, as it is written and as it is meant.

    Not read by the rules of URLs: programs take addresses without a scheme and with characters that should be encoded.
    """
    person = (address.partition("://")[2] or address).rpartition("@")[0]
    password = person.partition(":")[2]
    return {password, unquote(password)} if password else set()


def secret_lines(secret: SecretSource) -> list[str]:
    """The lines of a secret's value; raises BuildError where there is none."""
    try:
        text = secret.path.read_bytes().decode(errors="replace") if secret.path else os.environ[secret.variable or ""]
    except OSError as error:
        remedy = "name a readable file: --secret id=NAME,src=FILE"
        what = f"the build secret {secret.id!r} cannot be read: {error.strerror}"
        raise BuildError(what, where=str(secret.path), remedy=remedy) from error
    except KeyError as error:
        what = f"the build secret {secret.id!r} should be in the variable {secret.variable}, which is not set"
        raise BuildError(what, where="--secret", remedy="set the variable, or give src=FILE") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


class Transcript:
    """The lines of one build: headings become notes, the end is kept."""

    def __init__(self, job: BuilderJob, progress: Progress, redact: Redactor) -> None:
        self._job = job
        self._progress = progress
        self._redact = redact
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._step = ""
        self._place = ""
        self._doing, self._since = "", time.monotonic()

    def line(self, raw: str) -> None:
        """Take one line of the builder's output."""
        text = self._named(self._redact(raw.rstrip()))
        if not text:
            return
        self._tail.append(text)
        heading = _HEADING.match(text)
        if heading:
            self._step = heading["step"]
            self._progress.note(f"{self._job.label}: {heading['step']}")
        self._note_begin(heading["step"] if heading else _LAST_STEP if _EXPORT.match(text) else "")
        place = _PLACE.fullmatch(text)
        if place and place["name"] == self._job.dockerfile_name:
            self._place = f"{place['name']}:{place['line']}"

    def _note_begin(self, step: str) -> None:
        if step and step != self._doing:
            self._doing, self._since = step, time.monotonic()

    @contextmanager
    def repeating(self, interval_s: float = NOTE_INTERVAL_S) -> Iterator[None]:
        """While the block runs, say every few seconds which step the builder is at, and for how long."""

        def tell(_: float) -> None:
            doing = self._doing or "preparing"
            self._progress.note(f"{self._job.label}: still at {doing} ({time.monotonic() - self._since:.0f} s)")

        with repeated(tell, interval_s):
            yield

    def _named(self, text: str) -> str:
        for tag, name in self._job.names.items():
            text = text.replace(tag, name)
        return text

    def failure(self, message: str) -> BuildError:
        """The error of a build that failed: the step, its line, and the end of the output."""
        failed = self._failed_step()
        where = self._place or _place_of(self._job.shown, failed) or self._job.label
        what = f"building {self._job.label} failed" + (f" in {failed}" if failed else "")
        problems = [Problem("output", line) for line in self._tail]
        if message and not any(message in line for line in self._tail):
            problems.append(Problem("builder", self._named(self._redact(message))))
        remedy = "correct the step named above; what went well before it is cached"
        return BuildError(what, where=where, remedy=remedy, problems=problems)

    def _failed_step(self) -> str:
        """BuildKit repeats the heading of the failed step as `` > [2/5] RUN …:``."""
        for line in reversed(self._tail):
            found = re.match(r"\s*> \[[^\]]*\d+/\d+\] (?P<step>[A-Z]+ .*?):?$", line)
            if found:
                return found["step"]
        return self._step


def _place_of(dockerfile: Dockerfile | None, step: str) -> str:
    """The line of the instruction that a heading repeats, where exactly one fits."""
    if dockerfile is None or not step:
        return ""
    keyword, _, arguments = step.partition(" ")
    fits = [each for each in dockerfile.instructions if each.keyword == keyword]
    exact = [each for each in fits if " ".join(each.arguments.split()) == " ".join(_unflagged(arguments).split())]
    one = exact or fits
    return f"{dockerfile.name}:{one[0].line}" if len(one) == 1 else ""


def _unflagged(arguments: str) -> str:
    return re.sub(r"^(--\S+\s+)+", "", arguments)


def arguments_of(job: BuilderJob) -> Mapping[str, str]:
    """Build arguments of the job that no proxy variable stands for."""
    return {name: value for name, value in job.args.items() if name.upper() not in PROXY_NAMES}
