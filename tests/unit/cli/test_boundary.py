"""The error boundary: what a person and a program see, for each kind of end that a command can come to."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import requests

from bundler.cli import main
from bundler.cli.boundary import EXIT_BROKEN_PIPE, EXIT_DEFECT, Terminated, guarded, termination_raises
from bundler.cli.tables import table
from bundler.core import errors
from bundler.core.errors import BundleError, BundlerError, Problem
from tests.support.tiny_bundle import make_tiny_kit


def raising(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


DAMAGED = BundleError(
    "Two members are damaged.",
    where="/media/kit",
    remedy="copy the kit again",
    problems=[Problem("blobs/a", "digest differs"), Problem("MEMBERS", "line 3 is cut", "write it as sha256sum does")],
)


def test_result_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: 9) == 9
    assert capsys.readouterr().err == ""


def test_error_is_told_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(DAMAGED)) == 6
    assert capsys.readouterr().err.splitlines() == [
        "Two members are damaged.",
        "  blobs/a: digest differs",
        "  MEMBERS: line 3 is cut (write it as sha256sum does)",
        "where: /media/kit",
        "do: copy the kit again",
    ]


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(DAMAGED), as_json=True) == 6
    shown = capsys.readouterr()
    assert shown.out == ""
    assert json.loads(shown.err)["error"] == {
        "kind": "BundleError",
        "exit_code": 6,
        "what": "Two members are damaged.",
        "where": "/media/kit",
        "do": "copy the kit again",
        "problems": [
            {"where": "blobs/a", "what": "digest differs", "do": ""},
            {"where": "MEMBERS", "what": "line 3 is cut", "do": "write it as sha256sum does"},
        ],
    }


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.RecipeError, 3),
        (errors.DownloadError, 4),
        (errors.BuildError, 5),
        (errors.BundleError, 6),
        (errors.SignatureError, 7),
        (errors.EngineError, 8),
        (errors.CheckError, 9),
        (errors.PreconditionError, 10),
    ],
)
def test_each_kind_has_its_code(kind: type[BundlerError], code: int) -> None:
    assert guarded(raising(kind("what", where="where", remedy="do"))) == code


@pytest.mark.parametrize(
    ("error", "code", "first"),
    [
        (KeyboardInterrupt(), 130, "Interrupted."),
        (click.Abort(), 130, "Interrupted."),
        (Terminated(), 143, "Interrupted by SIGTERM."),
        (click.UsageError("No such option: --fast"), 2, "No such option: --fast"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/out/x"),
            10,
            "The host refused: no space left on the device.",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 10, "The host refused: permission denied."),
        (MemoryError(), 10, "The host refused: not enough memory."),
        (KeyError("x"), EXIT_DEFECT, "This is a defect in bundler: KeyError: 'x'"),
        (requests.ConnectionError("refused"), EXIT_DEFECT, "This is a defect in bundler: ConnectionError: refused"),
        (RuntimeError(), EXIT_DEFECT, "This is a defect in bundler: RuntimeError."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_other_ends(error: BaseException, code: int, first: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(error)) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == first
    assert [line.partition(":")[0] for line in lines[1:]] == ["where", "do"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Terminated, MemoryError, KeyError, BundlerError])
@pytest.mark.parametrize("as_json", [False, True])
def test_what_stays_behind_is_told_whatever_the_end(
    kind: type[BaseException], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind("ended", where="here", remedy="this") if issubclass(kind, BundlerError) else kind()
    for number in (1, 2):
        errors.add_problems(error, [Problem("kept", f"layer {number}", "--undo removes it")])
    guarded(raising(error), as_json=as_json)
    shown = capsys.readouterr().err
    if as_json:
        assert [problem["what"] for problem in json.loads(shown)["error"]["problems"]] == ["layer 1", "layer 2"]
    else:
        assert shown.splitlines()[1:3] == [f"  kept: layer {number} (--undo removes it)" for number in (1, 2)]


def test_host_errors_name_the_path(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(raising(OSError(errno.ENOSPC, "No space left on device", "/out/x")))
    assert "where: /out/x" in capsys.readouterr().err


def test_defect_names_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(raising(KeyError("x")))
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert "where: test_boundary.py, line" in shown or "where: boundary.py, line" in shown


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(KeyError("x")), debug=True) == EXIT_DEFECT
    assert "Traceback" in capsys.readouterr().err


def test_sigterm_unwinds_what_was_begun() -> None:
    undone = []

    def action() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            undone.append(True)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    with termination_raises():
        assert guarded(action) == 143
    assert undone == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def program(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "bundler", *arguments]
    return subprocess.run(argv, text=True, check=False, timeout=60, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_reader_that_went_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = program("--help", stdout=closed)
    assert (done.returncode, done.stderr) == (EXIT_BROKEN_PIPE, "")


def test_full_device_at_the_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = program("--help", stdout=full)
    assert done.returncode == 10
    assert done.stderr.startswith("The host refused: no space left on the device.")


def test_no_command_shows_the_help_and_is_usage() -> None:
    done = program(stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert "Usage: bundler" in done.stderr


@pytest.mark.parametrize("arguments", [["nosuch"], ["--nosuch"]])
def test_usage_errors(arguments: list[str]) -> None:
    done = program(*arguments, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3
    assert "do: see `bundler --help`" in done.stderr


def test_usage_errors_heed_json() -> None:
    done = program("nosuch", "--json", stdout=subprocess.PIPE)
    assert json.loads(done.stderr)["error"]["exit_code"] == 2


def test_help_imports_no_command_and_no_engine() -> None:
    code = (
        "import sys; from bundler.cli.main import COMMANDS, run; run(['--help'])\n"
        "late = {entry.module for entry in COMMANDS.values()} | {'docker', 'requests', 'zstandard', 'tqdm'}\n"
        "sys.exit(', '.join(late & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_command_that_is_not_here_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(main.COMMANDS, "absent", main.Entry("bundler.cli.absent", "absent", "Never here."))
    assert main.run(["--help"]) == 0
    assert "absent" not in capsys.readouterr().out
    assert main.run(["absent"]) == 2
    assert "'absent' is not part of this distribution" in capsys.readouterr().err


def test_package_that_is_missing_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "needs_more.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(main.COMMANDS, "more", main.Entry("needs_more", "more", "Needs more."))
    assert main.run(["more"]) == 10
    assert "needs the package a_package_that_nobody_has" in capsys.readouterr().err


def test_command_takes_debug_after_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a_command.py").write_text(
        "import click\n\n@click.command()\ndef fails():\n    raise KeyError('x')\n\n"
        "@click.command()\n@click.pass_context\ndef finds(ctx):\n    ctx.exit(9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(main.COMMANDS, "fails", main.Entry("a_command", "fails", "Fails."))
    monkeypatch.setitem(main.COMMANDS, "finds", main.Entry("a_command", "finds", "Finds."))
    assert main.run(["fails", "--debug"]) == EXIT_DEFECT
    assert "Traceback" in capsys.readouterr().err
    assert main.run(["finds"]) == 9


STEERING = "x\n\x1b[2Jall as they should be\x1b[8m"


def test_what_others_wrote_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    error = BundleError(STEERING, where=STEERING, remedy=STEERING, problems=[Problem(STEERING, STEERING, STEERING)])
    guarded(raising(error))
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "where: x\\n\\x1b[2Jall as they should be" in shown
    assert table(("A",), [("\x1b]0;title\x07",)]).splitlines()[1] == "\\x1b]0;title\\x07"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full", "2</dev/null 2>&2"])
def test_streams_that_take_nothing_do_not_change_the_end(tmp_path: Path, closed: str) -> None:
    kit = make_tiny_kit(tmp_path)
    line = f"{sys.executable} -m bundler verify {kit} --progress lines {closed}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    (kit / "more").touch()
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (6, False), done.stderr


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_that_are_none_are_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["cache", "prune", "--days", number],
        ["check", "--watch", number],
        ["audit", "--lock-timeout", number],
    ):
        assert main.run(words) == 2, words
        capsys.readouterr()


@pytest.mark.parametrize("address", ["http://[", "tcp://127.0.0.1:99999999"])
def test_an_address_that_is_none_is_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["audit", "--host", address]) == 8
    assert address in capsys.readouterr().err


def test_links_in_a_circle_and_endless_names_are_the_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for place in ("loop", "n" * 300):
        assert main.run(["init", str(tmp_path / place), "--name", "service"]) == 10, place
        capsys.readouterr()
