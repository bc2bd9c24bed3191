"""What a person sees of a step: its heading, what it found, its seconds; and the log with everything else.

with stage.step("Build the kit") as step:
    step.run(["bundler", "build", "quickstart"], env=env, timeout_s=900)
    step.say("38 MB")
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: A program that was asked to end gets this long for what it undoes.
END_TIMEOUT_S = 30.0


class StepError(RuntimeError):
    """A step did not do what it is there for; the message says what was seen and, where it is known, what to do."""


@dataclass
class Step:
    """One step: ``log`` is the file with what its programs wrote."""

    number: int
    title: str
    log: Path
    seconds: float = 0.0

    def say(self, line: str) -> None:
        """Show a line below the heading, and keep it in the log."""
        print(f"   {line}", flush=True)
        self.write(line)

    def write(self, text: str) -> None:
        """Keep ``text`` in the log alone."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(text.rstrip("\n") + "\n")

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float, cwd: Path | None = None) -> str:
        """Run a program and give its standard output; ``StepError`` where it fails or does not end in time.

        Whatever ends the wait, the program is asked to end first: it may have something to undo.
        """
        self.write(f"$ {shlex.join(argv)}")
        begin = self.log.stat().st_size
        with self.log.open("ab") as log:
            try:
                # Its own session: a Ctrl-C reaches the demo alone, which passes it on once.
                process = subprocess.Popen(
                    list(argv), stdout=subprocess.PIPE, stderr=log, env=dict(env), cwd=cwd, start_new_session=True
                )
            except FileNotFoundError as error:
                raise StepError(f"{argv[0]} is not installed") from error
            out = self._output(process, timeout_s)
        self.write(out)
        if process.returncode:
            raise StepError(f"{Path(argv[0]).name} ended with {process.returncode}\n{self._end_of_log(begin)}")
        return out

    def _output(self, process: subprocess.Popen[bytes], timeout_s: float) -> str:
        try:
            return process.communicate(timeout=timeout_s)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired as error:
            raise StepError(f"no end after {timeout_s:.0f} s") from error
        finally:
            if process.poll() is None:
                _end(process)

    def _end_of_log(self, begin: int) -> str:
        text = self.log.read_bytes()[begin:].decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return "\n".join(f"   | {line}" for line in lines[-12:])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@dataclass
class Stage:
    """Counts the steps and keeps their logs in ``logs``; ``failed`` is the first that failed."""

    logs: Path
    steps: list[Step] = field(default_factory=list)
    failed: Step | None = None

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show the heading, then, however it ends, the seconds."""
        number = len(self.steps) + 1
        step = Step(number, title, self.logs / f"{number:02d}.log")
        self.steps.append(step)
        print(f"{number:2d} {title}", flush=True)
        step.log.write_text(f"{title}\n", encoding="utf-8")
        began = time.monotonic()
        try:
            yield step
        except BaseException:
            self.failed = self.failed or step
            raise
        finally:
            step.seconds = time.monotonic() - began
            print(f"   {step.seconds:.1f} s", flush=True)
