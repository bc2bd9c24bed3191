"""The hook in real Python processes: all that this host has, from the one that runs the tests to old ones."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.core.code_place import CodePlace
from bundler.installer.egress.python_hook import bundler_calls, sitecustomize
from bundler.installer.egress.python_hook.reports import Reports
from bundler.installer.egress.python_hook.session import FILES
from bundler.installer.egress.wire import HOST_NAME, INSIDE, INSIDE_6

SENDS = """
    import socket

    def send():
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("203.0.113.7", 443))  # sends nothing

    send()
    print("fine")
"""


def pythons() -> list[str]:
    """Every Python of this host that starts."""
    named = [shutil.which(f"python3.{minor}") or "" for minor in range(8, 16)]
    installed = Path("~/.pyenv/versions").expanduser().glob("*/bin/python")
    found = {
        str(Path(path).resolve()): None for path in (sys.executable, "/usr/bin/python3", *named, *installed) if path
    }
    return [path for path in found if _version(path) is not None]


def _version(path: str) -> tuple[int, ...] | None:
    script = "import sys; print('%d %d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(map(int, done.stdout.split()))


@dataclass
class Program:
    """Runs programs with the hook, and hears what it tells."""

    directory: Path
    work: Path
    reports: Reports

    def run(self, script: str, *, python: str = sys.executable, path: str = "", hooked: bool = True) -> tuple[str, str]:
        """Output and error output of a program that ends well."""
        file = self.work / "program.py"
        file.write_text(textwrap.dedent(script).lstrip("\n"))
        parts = [*([str(self.directory)] if hooked else []), *([path] if path else [])]
        env = {"PATH": os.environ["PATH"], **({"PYTHONPATH": ":".join(parts)} if parts else {})}
        argv = [python, str(file)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False, cwd=self.work)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def places(self) -> tuple[CodePlace, ...]:
        return self.reports.collect(0.0).places


@pytest.fixture
def program() -> Iterator[Program]:
    """In a folder with a short name, as containers see the hook: the socket's path is not longer than one may be."""
    with tempfile.TemporaryDirectory(prefix="hook-", dir="/tmp") as folder:
        directory, work = Path(folder, "hook"), Path(folder, "work")
        directory.mkdir()
        work.mkdir()
        for name in FILES:
            shutil.copy(Path(bundler_calls.__file__).with_name(name), directory)
        reports = Reports(directory / bundler_calls.SOCKET)
        yield Program(directory, work, reports)
        reports.close()


@pytest.mark.parametrize("python", pythons())
def test_every_python_goes_on_and_those_with_hooks_tell(program: Program, python: str) -> None:
    assert program.run(SENDS, python=python) == ("fine\n", "")
    places = program.places()
    if (_version(python) or ()) < (3, 8):
        assert places == ()
        return
    (place,) = places
    assert (place.event, place.host, place.port) == ("socket.connect", "203.0.113.7", 443)
    lines = [(frame.file, frame.line, frame.function) for frame in place.stack]
    assert lines == [(str(program.work / "program.py"), 6, "<module>"), (str(program.work / "program.py"), 4, "send")]


@pytest.mark.parametrize("python", pythons())
def test_a_program_sees_imports_as_without_it(program: Program, python: str) -> None:
    script = """
        import sys
        try:
            import sitecustomize
            print(sitecustomize.__file__)
        except ImportError as error:
            print(error)
        print(sorted(name for name in sys.modules if "bundler" in name))
        print([path for path in sys.path if path])
    """
    assert program.run(script, python=python) == program.run(script, python=python, hooked=False)


@pytest.mark.parametrize(
    "own",
    [
        "print('ours')",
        "import no_such_module",
        "raise RuntimeError('of its own')",
        "import sys; sys.path.insert(0, '/x')",
    ],
)
def test_the_image_s_own_module_is_run_as_without_it(program: Program, own: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text(own + "\n")
    path = str(tmp_path / "own")
    script = SENDS + "    import sys; print(sys.path, sorted(sys.modules).count('sitecustomize'))\n"
    assert program.run(script, path=path) == program.run(script, path=path, hooked=False)
    assert len(program.places()) == 1


def test_innocent_calls_are_not_told(program: Program) -> None:
    program.run(
        f"""
        import socket
        udp, udp6 = socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for address in ("127.0.0.1", "127.9.9.9", "localhost", "", "0.0.0.0"):
            udp.sendto(b"x", (address, 9))
        udp6.sendto(b"x", ("::1", 9))
        udp6.sendto(b"x", ("::ffff:127.0.0.1", 9))
        udp.sendmsg([b"x"], [], 0, ("127.0.0.1", 9))
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname())
        local = socket.socket(socket.AF_UNIX)
        local.bind("\\0{program.work}")
        local.listen()
        socket.socket(socket.AF_UNIX).connect("\\0{program.work}")
        for name in (None, "localhost", "a.localhost", b"localhost"):
            try:
                socket.getaddrinfo(name, 80)
            except OSError:
                pass
        """
    )
    assert program.places() == ()


@pytest.mark.parametrize(
    ("call", "event", "host", "port"),
    [
        ("socket.getaddrinfo(b'a.invalid', 443)", "socket.getaddrinfo", "a.invalid", None),
        ("socket.gethostbyname('a.invalid')", "socket.gethostbyname", "a.invalid", None),
        ("socket.gethostbyname_ex('a.invalid')", "socket.gethostbyname", "a.invalid", None),
        ("socket.gethostbyaddr('a.invalid')", "socket.gethostbyaddr", "a.invalid", None),
        ("udp.connect_ex(('203.0.113.7', 9))", "socket.connect", "203.0.113.7", 9),
        ("udp6.connect(('2001:db8::7', 9, 0, 0))", "socket.connect", "2001:db8::7", 9),
    ],
)
def test_each_way_to_reach_out_is_told(program: Program, call: str, event: str, host: str, port: int | None) -> None:
    program.run(
        f"""
        import socket
        udp, udp6 = socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            {call}
        except OSError:
            pass
        """
    )
    (told,) = [place for place in program.places() if (place.event, place.host, place.port) == (event, host, port)]
    assert (str(program.work / "program.py"), 4) in {(frame.file, frame.line) for frame in told.stack}


def test_children_tell_for_themselves_and_repetitions_are_told_once(program: Program) -> None:
    program.run(
        """
        import os, socket
        sock = socket.socket(type=socket.SOCK_DGRAM)
        def send():
            for _ in range(100):
                sock.connect(("203.0.113.7", 9))
        send()
        if os.fork() == 0:
            send()
            os._exit(0)
        os.wait()
        """
    )
    assert len({place.pid for place in program.places()}) == 2


@pytest.mark.parametrize("python", pythons())
def test_coroutines_that_wait_for_a_look_up_are_told(program: Program, python: str) -> None:
    if (_version(python) or ()) < (3, 8):
        return
    program.run(
        """
        import asyncio

        async def ask(name):
            try:
                await asyncio.open_connection(name, 443)
            except OSError:
                pass

        async def main():
            await ask("a.invalid")
            await asyncio.gather(ask("b.invalid"), asyncio.wait_for(ask("c.invalid"), 60))

        asyncio.run(main())
        """,
        python=python,
    )
    found = {place.host: [(frame.line, frame.function) for frame in place.stack] for place in program.places()}
    missed = {host: stack for host, stack in found.items() if (5, "ask") not in stack}
    assert (set(found), missed) == ({"a.invalid", "b.invalid", "c.invalid"}, {})
    assert (11, "main") in found["b.invalid"] or (13, "<module>") in found["b.invalid"]


def test_a_program_goes_on_where_nobody_listens(program: Program) -> None:
    (program.directory / bundler_calls.SOCKET).unlink()
    assert program.run(SENDS) == ("fine\n", "")
    (program.directory / "bundler_calls.py").write_text("raise RuntimeError('broken')\n")
    assert program.run(SENDS) == ("fine\n", "")


def test_a_full_socket_holds_a_program_up_for_a_moment_only(program: Program) -> None:
    (program.directory / bundler_calls.SOCKET).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(program.directory / bundler_calls.SOCKET))
        many = "[exec('\\n' * n + 'udp.connect((\"203.0.113.7\", 9))') for n in range(20)]"
        script = f"import socket\nudp = socket.socket(type=socket.SOCK_DGRAM)\n{many}\nprint('fine')\n"
        assert program.run(script) == ("fine\n", "")


@pytest.mark.parametrize("letter", ["f", "\u00fc", "\u540d", "\ud800"])
def test_of_a_deep_and_wide_stack_the_innermost_part_is_told(program: Program, letter: str) -> None:
    source = """
def f(depth):
    if depth:
        return f(depth - 1)
    socket.socket(type=socket.SOCK_DGRAM).connect(("203.0.113.7", 9))
""".replace("f(", f"{'g' * 600}(")
    program.run(f"import socket\nexec(compile({source!r} + {'g' * 600!r} + '(500)', '/' + {letter!a} * 600, 'exec'))\n")
    (place,) = program.places()
    assert 10 < len(place.stack) < 40
    assert place.stack[-1].line == 5


def test_it_knows_the_names_that_the_wire_has() -> None:
    assert {HOST_NAME, str(INSIDE), str(INSIDE_6)} == bundler_calls.OWN


def test_outside_a_container_it_does_nothing() -> None:
    assert "sitecustomize" not in vars(sitecustomize)
    assert "_here" not in vars(sitecustomize)
