"""Where a host keeps its state, and what it says where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.core.errors import PreconditionError
from bundler.installer.host import Host, default_state, file_name
from tests.support.waiting import PATIENCE_S, wait_until


def test_root_has_the_systems_place() -> None:
    assert default_state({"HOME": "/root", "XDG_STATE_HOME": "/x"}, 0) == Path("/var/lib/bundler")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/x/state", "HOME": "/home/a"}, "/x/state/bundler"),
        ({"HOME": "/home/a"}, "/home/a/.local/state/bundler"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/a"}, "/home/a/.local/state/bundler"),
        ({"XDG_STATE_HOME": ""}, None),
        ({"HOME": "relative"}, None),
        ({}, None),
    ],
)
def test_others_have_xdgs(environ: dict[str, str], expected: str | None) -> None:
    if expected:
        assert default_state(environ, 1000) == Path(expected)
    else:
        with pytest.raises(PreconditionError) as caught:
            default_state(environ, 1000)
        assert "--state-dir" in caught.value.remedy


def test_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    host = Host(tmp_path / "file" / "state")
    with pytest.raises(PreconditionError) as caught, host.lock():
        pass
    assert "--state-dir" in caught.value.remedy
    assert str(tmp_path) in caught.value.where


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights; CI is root")
def test_read_only_home_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    script = (
        "import os\n"
        "from pathlib import Path\n"
        "from bundler.installer.host import Host\n"
        "os.setuid(65534)\n"  # last: nobody may be kept out of the place where this Python stands
        f"host = Host(Path({str(home)!r}) / '.local/state/bundler')\n"
        "with host.lock(): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "PreconditionError" in done.stderr
    assert "--state-dir" in done.stderr


def test_second_run_is_told_and_the_first_one_ends(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with host.lock(), pytest.raises(PreconditionError, match="another run"), host.lock():
        pass
    with host.lock():
        pass


def test_who_waits_for_another_run_says_so_once_and_goes_on_after_it(tmp_path: Path) -> None:
    notes: list[str] = []

    def second() -> None:
        with Host(tmp_path, lock_timeout_s=PATIENCE_S).lock(notes.append):
            notes.append("in")

    with ThreadPoolExecutor(1) as pool:
        with Host(tmp_path).lock():
            waiting = pool.submit(second)
            wait_until(lambda: notes)
        waiting.result(PATIENCE_S)
    assert notes == [f"waiting, since another run (process {os.getpid()}) is working on installs on this host", "in"]


@pytest.mark.parametrize(
    ("text", "expected"), [("AB:CD:12", "AB_CD_12"), ("../x", "x"), ("", "unnamed"), ("a b/c", "a_b_c")]
)
def test_any_text_is_a_file_name(text: str, expected: str) -> None:
    assert file_name(text) == expected
