"""Services in real engines: asked from inside until they answer rightly, listened to, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.checks import Question, ServeCheck
from bundler.core.digest import Digest
from bundler.core.egress import TRIPWIRE, WEAKER
from bundler.core.progress import SilentProgress
from bundler.installer.checks import serve
from bundler.installer.checks.running import run_commands
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.calling_out import IMAGE, loaded, sh
from tests.support.docker_engines import ids_of, load
from tests.support.handmade import make_image, shell_layer
from tests.support.serving import check, get, peers, run_services, service

Place = tuple[DockerEngine, Digest]
One = Callable[[ServeCheck], CheckResult]
_LOADING = """
    def answer(handler):
        if time.monotonic() - began < 2:
            handler.say(503, b"loading")
        else:
            handler.say(200, f"asked {len(asked)} times".encode())
    serve()
"""
_CHUNKED = """
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in (b"the capi", b"tal\\n\\n", b"x" * 70000, b""):
            handler.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(piece), piece))
    serve()
"""
_ECHO = """
    def answer(handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.say(201, json.dumps([handler.command, handler.path, handler.headers["X-Key"], handler.headers["Host"],
            handler.headers["Content-Type"], body.decode()]).encode())
    serve()
"""
_DIES = """
    def answer(handler):
        handler.say(200, b"yes")
        threading.Timer(2, lambda: os._exit(7)).start()
    serve()
"""
_ONCE = """
    def answer(handler):
        if len(asked) > 1:
            os._exit(0)
        handler.say(200, b"the capital is Canberra")
    serve()
"""
_LATE_LEAK = """
    def answer(handler):
        handler.say(200, b"yes")
        threading.Timer({after_s}, leak).start()
    serve()
"""
_SHOWS_ITSELF = "cat /proc/self/status >/tmp/status; exec busybox httpd -f -p 8765 -h /tmp"


@pytest.fixture
def one(debian: Place, docker20: RunningEngine) -> One:
    """Run one check; nothing of it is left afterwards."""

    def run(wanted: ServeCheck) -> CheckResult:
        before = ids_of(docker20)
        (result,) = run_services(*debian, wanted).values()
        assert docker20.docker("ps", "--all", "--quiet").split() == []
        assert ids_of(docker20) == before
        return result

    return run


def test_the_right_answer_passes(one: One) -> None:
    result = one(check("answers", service("serve()"), expect=("capital",), forbid=("Traceback",)))
    assert result.passed, result.detail
    assert result.detail.startswith("answered 200 after ")
    assert result.measured == {"answered_s": round(result.seconds, 3)}
    assert result.no_egress is not None
    assert (result.no_egress.proof, result.no_egress.attempts) == (TRIPWIRE, ())


def test_a_port_alone_passes_as_soon_as_it_takes_connections(one: One) -> None:
    result = one(check("opens", service("time.sleep(1.5); serve()"), question=None))
    assert result.passed, result.detail
    assert result.seconds >= 1.5


def test_a_port_that_stays_closed_is_told(one: One) -> None:
    result = one(check("closed", sh("echo still loading; sleep 60"), within_s=15.0))
    assert not result.passed
    assert result.detail.startswith("no right answer within 15 s; port 8765 took no connection; it printed: still load")
    assert not result.measured


def test_a_service_that_is_loading_is_asked_again(one: One) -> None:
    result = one(check("loads", service(_LOADING), expect=("asked [2-9] times",)))
    assert result.passed, result.detail
    assert result.seconds >= 2


@pytest.fixture
def asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wrong answer the time is over, however soon it came."""
    monkeypatch.setattr(serve, "_PAUSE_S", 3600.0)


def test_the_last_wrong_answer_is_told(one: One, asks_once: None) -> None:
    wrong = "answer = lambda handler: handler.say(503, b'no \\x1b[31mmodel'); serve()"
    result = one(check("never", service(wrong), within_s=60.0))
    assert result.detail.startswith(
        "no right answer within 60 s; answered 503 Service Unavailable, not 200: no [31mmodel; it printed nothing"
    )


def test_a_wrong_body_is_told(one: One) -> None:
    result = one(check("wrong", service(_ONCE), expect=("Paris",), forbid=("Canberra",)))
    assert "answered nothing like 'Paris'; answered 'Canberra', which 'Canberra' forbids" in result.detail
    assert "it answered: the capital is Canberra" in result.detail


def test_a_status_that_is_asked_for_is_right(one: One) -> None:
    refuses = "answer = lambda handler: handler.say(404, b''); serve()"
    assert one(check("refuses", service(refuses), status=404)).passed


def test_an_end_before_the_answer_is_told(one: One) -> None:
    result = one(check("ends", service("print('no weights'); time.sleep(1); sys.exit(3)")))
    assert result.detail.startswith("ended by itself with code 3 before the right answer; it printed: no weights")
    assert result.seconds < 60


def test_a_program_that_is_not_there_is_told(one: One) -> None:
    assert one(check("nothing", ("/none",))).detail.startswith("ended by itself with code 127 before the right answer")


def test_an_end_while_it_is_listened_to_is_a_fault(one: One) -> None:
    result = one(check("dies", service(_DIES), watch_s=60.0))
    assert result.detail.startswith("ended by itself with code 7, ")


def test_a_leak_after_the_answer_is_caught_by_the_watch_alone(one: One) -> None:
    assert one(check("short", service(_LATE_LEAK.format(after_s=60)))).passed
    result = one(check("long", service(_LATE_LEAK.format(after_s=2)), watch_s=15.0))
    assert not result.passed
    assert "tried to call out: TCP to 203.0.113.9 port 5432" in result.detail


def test_a_body_and_headers_are_sent(one: One) -> None:
    body = '{"input": "größe\\u0000"}'
    question = Question("POST", "/v1?a=b", {"X-Key": "k", "content-type": "text/x", "Content-Length": "1"}, body)
    wanted = r'^\["POST", "/v1\?a=b", "k", "localhost:8765", "text/x", "\{.*gr\\u00f6\\u00dfe'
    result = one(check("posts", service(_ECHO), question=question, status=201, expect=(wanted,)))
    assert result.passed, result.detail


def test_an_answer_in_chunks_is_read_as_a_whole(one: One) -> None:
    result = one(check("chunks", service(_CHUNKED), expect=(r"\Athe capital\n\nx{70000}\Z",)))
    assert result.passed, result.detail


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("b'SSH-2.0-x\\r\\n'", "it is no HTTP"),
        ("b''", "cannot be read: nothing came before the connection was closed"),
        ("b'HTTP/1.1 200 OK\\r\\nContent-Length: 99\\r\\n\\r\\nshort'", "its body was cut off after 5 bytes"),
        ("b'HTTP/1.1 200 OK\\r\\n\\r\\n' + b'z' * 2000000", "its answer is longer than 491264 bytes"),
    ],
)
def test_what_is_no_answer_is_told(one: One, sent: str, told: str) -> None:
    raw = f"""
    class Raw(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            if asked:
                os._exit(0)
            asked.append(1)
            self.request.sendall({sent})
    socketserver.ThreadingTCPServer(("0.0.0.0", 8765), Raw).serve_forever()
    """
    detail = one(check("raw", service(raw))).detail
    assert detail.startswith("ended by itself with code 0 before the right answer; its answer")
    assert told in detail


def test_an_answer_that_does_not_come_is_told(one: One) -> None:
    silent = "answer = lambda handler: time.sleep(60); serve()"
    result = one(check("silent", service(silent), within_s=25.0))
    assert "port 8765 took a connection and gave no answer" in result.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_service_on_loopback_alone_is_found(one: One, host: str) -> None:
    bound = f"http.server.ThreadingHTTPServer.address_family = socket.AF_INET{'6' * (':' in host)}; serve({host!r})"
    assert one(check("loopback", service(bound))).passed


def test_the_end_of_a_service_belongs_to_it(one: One) -> None:
    graceful = """
    import signal
    def ended(*_):
        leak()
        print("goodbye", flush=True)
        os._exit(0)
    signal.signal(signal.SIGTERM, ended)
    serve()
    """
    result = one(check("goes", service(graceful)))
    assert "TCP to 203.0.113.9 port 5432" in result.detail
    assert "goodbye" in result.detail


def test_peers_that_are_allowed_are_told_and_others_fail(one: One) -> None:
    calls = """
    def answer(handler):
        try: socket.getaddrinfo("database", 5432)
        except OSError: pass
        leak()
        handler.say(200, b"yes")
    serve()
    """
    allowed = one(check("allowed", service(calls), allow=peers("Database", "203.0.113.9:5432")))
    assert allowed.passed, allowed.detail
    assert allowed.no_egress is not None
    assert {attempt.name or attempt.address for attempt in allowed.no_egress.allowed} == {"database", "203.0.113.9"}
    half = one(check("half", service(calls), allow=peers("database", "203.0.113.9:5433")))
    assert not half.passed
    assert "TCP to 203.0.113.9 port 5432" in half.detail
    assert "database" not in half.detail
    assert "asked for database" in one(check("none", service(calls))).detail


def test_without_rights_it_is_asked_all_the_same(one: One, asks_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    right = one(check("right", service("serve()"), expect=("capital",)))
    assert right.passed, right.detail
    assert right.no_egress is not None
    assert right.no_egress.proof == WEAKER
    assert "ended by itself with code 3" in one(check("ends", service("time.sleep(1); sys.exit(3)"))).detail
    assert "503" in one(check("wrong", service("answer = lambda handler: handler.say(503, b''); serve()"))).detail


def test_places_in_the_code_of_services_are_told(debian: Place) -> None:
    checks = [check("leaks", service("leak(); serve()"))]
    (result,) = run_commands(checks, {IMAGE: debian[1]}, debian[0], SilentProgress(), where_in_code=True)
    assert result.no_egress is not None
    (attempt,) = result.no_egress.attempts
    assert attempt.places
    assert "leak" in str(attempt.places[0])


def test_every_engine_starts_the_images_own_command(any_engine: RunningEngine) -> None:
    before = ids_of(any_engine)
    engine, other = loaded(any_engine)
    layers = [shell_layer()]
    config = {"Entrypoint": ["sh", "-c"], "Cmd": [_SHOWS_ITSELF], "User": "1234:1234"}
    image_id = load(engine, make_image(str(IMAGE), layers, config), layers)
    standing = ids_of(any_engine)
    right = check("right", (), question=get("/status"), expect=(r"^Uid:\s1234\s", r"^CapBnd:\s0+$"))
    (result,) = run_services(engine, image_id, right).values()
    none = run_services(engine, other, check("none", ()))["none"]
    leaks = sh("busybox nslookup -type=a a.example >/dev/null & exec busybox httpd -f -p 8765 -h /")
    leaky = run_services(engine, other, check("leaky", leaks, question=get("/bin/none"), status=404))["leaky"]
    after = ids_of(any_engine)
    any_engine.docker("image", "rm", "--force", *(standing - before))
    assert result.passed, result.detail
    assert none.detail.startswith("ended by itself with code 127 before the right answer")
    assert "asked for a.example" in leaky.detail
    assert after == standing
    assert any_engine.docker("ps", "--all", "--quiet").split() == []


_SESSION = """
import sys
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.installer.engines.docker import DockerEngine
from tests.support.calling_out import sh
from tests.support.serving import check, run_services
engine = DockerEngine(connect(sys.argv[1]))
run_services(engine, Digest.parse(sys.argv[2]), check("waits", sh("sleep 300"), within_s=300.0))
"""


def test_what_a_killed_check_leaves_is_removed_by_the_next(caller: Place, docker20: RunningEngine) -> None:
    engine, image_id = caller
    standing = ids_of(docker20)
    argv = [sys.executable, "-c", _SESSION, docker20.base_url, str(image_id)]
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join([".", "scripts"])})
    deadline = time.monotonic() + 120
    while "/bundler-asker" not in docker20.docker("ps", "--no-trunc") and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(docker20.docker("ps", "--quiet").split()) == 3  # the holder, the service, and who asks it
    assert engine.remove_leftovers() == 3
    assert docker20.docker("ps", "--all", "--quiet").split() == []
    assert ids_of(docker20) == standing
