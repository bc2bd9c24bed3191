"""``serve``: a service that starts as in production, gives the right answer in time, and goes on running.

What answers wrongly is asked again until the time is over: a service may say that it is still loading. Afterwards it is
listened to for as long as the check wants, and then stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Optional

from bundler.core.check_result import CheckResult
from bundler.core.checks import ServeCheck
from bundler.core.errors import EngineError
from bundler.installer.checks.http_answer import GarbledAnswerError, read_answer, readable, render_request
from bundler.installer.checks.patterns import pattern_faults
from bundler.installer.checks.scene import Scene, Seen
from bundler.installer.egress.asker_program import CONNECTED, LONGEST_ANSWER, TOO_LONG, decoded
from bundler.installer.egress.service import Service, ServiceEndedError
from bundler.installer.engine import Running

_POLL_S = 0.05
_WATCH_POLL_S = 0.25
#: Between a wrong answer and the next question.
_PAUSE_S = 0.5
#: For what a service does at its end.
_GRACE_S = 2.0
_SHOWN_ANSWER = 200
_TOO_LONG = f"its answer is longer than {LONGEST_ANSWER} bytes"


def check_service(check: ServeCheck, scene: Scene) -> CheckResult:
    """Start it, ask it until it answers rightly, listen to it, stop it."""
    with scene.watch.started(scene.image_id, scene.spec(check)) as service:
        faults = _Asking(check, service).until_right()
        seconds = time.monotonic() - service.running.began
        right = not faults
        if right:
            faults = _keeps_running(check, service.running)
        service.running.stop(_GRACE_S)
        output = service.running.output().decode(errors="replace")
        no_egress = service.collect()
    measured = {"answered_s": round(seconds, 3)} if right else {}
    return Seen(faults, seconds, output, no_egress, measured, _told_well(check, seconds)).verdict(check)


def _told_well(check: ServeCheck, seconds: float) -> str:
    did = "took a connection" if check.question is None else f"answered {check.status}"
    watched = f", and was listened to for {check.watch_s:g} s more" if check.watch_s else ""
    return f"{did} after {seconds:.2f} s{watched}"


def _keeps_running(check: ServeCheck, running: Running) -> list[str]:
    """Listen for as long as the check wants; what is wrong if it ends by itself before that."""
    answered = time.monotonic()
    while True:
        exit_code = running.exit_code()
        passed_s = time.monotonic() - answered
        if exit_code is not None:
            return [f"ended by itself with code {exit_code}, {passed_s:.1f} s after its answer"]
        if passed_s >= check.watch_s:
            return []
        time.sleep(min(_WATCH_POLL_S, check.watch_s - passed_s))


@dataclass(frozen=True)
class _Asking:
    """One check's questions to its service."""

    check: ServeCheck
    service: Service

    def until_right(self) -> list[str]:
        """Ask until the right answer comes, the service ends or the time is over; what is wrong then, else nothing."""
        deadline = self.service.running.began + self.check.within_s
        last: list[str] = []
        try:
            while True:
                printed, ended = self._once(deadline)
                faults = [_TOO_LONG] if ended == TOO_LONG else self._faults(printed, closed=ended == 0)
                if not faults:
                    return []
                if ended is None:
                    return self._told_late(last or faults)
                if printed != CONNECTED or not last:  # a connection that is closed at once says less than an answer
                    last = faults
                if time.monotonic() + _PAUSE_S >= deadline:
                    return self._told_late(last)
                time.sleep(_PAUSE_S)
        except ServiceEndedError:
            return [f"ended by itself with code {self.service.running.exit_code()} before the right answer", *last]

    def _told_late(self, faults: list[str]) -> list[str]:
        return [f"no right answer within {self.check.within_s:g} s", *faults]

    def _once(self, deadline: float) -> tuple[bytes, Optional[int]]:
        """What the asker printed and how it ended; None where the time was over first and it was killed."""
        question = self.check.question
        request = render_request(question, self.check.port) if question else ""
        with self.service.asked(self.check.port, request) as asker:
            ended = self._await(asker, deadline)
            if ended is None:
                asker.stop(0.0)
            printed = asker.output()
        if ended in {None, 0, TOO_LONG}:
            return printed, ended
        if self.service.ends_soon():
            raise ServiceEndedError
        raise EngineError(
            f"the program that asks services ended with code {ended}: {readable(printed.decode(errors='replace'), 200)}",
            where=f"check {self.check.name}",
            remedy="run the same command again; look into the engine's log (journalctl -u docker)",
        )

    def _faults(self, printed: bytes, *, closed: bool) -> list[str]:
        """What is wrong with an answer; ``closed``: the service closed the connection behind it."""
        if not printed.startswith(CONNECTED):
            return [f"port {self.check.port} took no connection"]
        question = self.check.question
        if question is None:
            return []
        if printed == CONNECTED and not closed:
            return [f"port {self.check.port} took a connection and gave no answer"]
        return self._faults_of_answer(printed, question.method, closed=closed)

    def _faults_of_answer(self, printed: bytes, method: str, *, closed: bool) -> list[str]:
        try:
            answer = read_answer(decoded(printed[len(CONNECTED) :]), method)
        except (GarbledAnswerError, ValueError) as error:
            return [f"its answer cannot be read: {error}"]
        if not (closed or answer.says_its_end):
            return ["its answer did not end"]
        shown = readable(answer.body, _SHOWN_ANSWER)
        if answer.status != self.check.status:
            return [f"answered {answer.status} {answer.reason}, not {self.check.status}: {shown}"]
        faults = pattern_faults(self.check, answer.body, "answered")
        return [*faults, f"it answered: {shown}"] if faults else []

    def _await(self, asker: Running, deadline: float) -> Optional[int]:
        """How the asker ended, None where the time is over first; raises ServiceEndedError."""
        while True:
            exit_code = asker.exit_code()
            if exit_code is not None:
                return exit_code
            if self.service.running.exit_code() is not None:
                raise ServiceEndedError
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL_S)
