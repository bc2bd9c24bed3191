"""The hook inside a Python process of a check: it tells the host which line of code tried to reach out (PEP 578).

It runs in somebody else's process, on any Python from 3.8 on. So it imports nothing that the process would not have,
raises nothing, waits a tenth of a second at most where nobody listens, and stays quiet once it has said enough. What it
says goes as one datagram through a Unix socket in this file's directory; `reports` reads it on the host:

    event NUL host NUL port NUL process NUL number of calls that were not told (NUL file NUL line NUL function)*

One without a stack says that number only; it comes when the number has doubled.

Source of events and their arguments: "Audit events table" of Python's documentation. A name that is given to
``connect`` or ``sendto`` itself is looked up before their events, and so is not seen where that fails.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType, FrameType
    from typing import Any, Optional

    Lines = tuple[tuple[CodeType, int], ...]

SOCKET = "report"
#: The names and addresses of a check's host; `wire` knows them too.
OWN = frozenset({"bundler-check", "192.0.2.2", "2001:db8::2"})
SENT = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
ASKED = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"})
_INTERNET = (2, 10)  # AF_INET and AF_INET6 of Linux
_ANYWHERE = frozenset({"", "localhost", "::1", "::", "0.0.0.0", "0"})  # noqa: S104 - nothing is bound
#: How much is told: frames of a call, different calls of a process, calls that are looked at, and those from one line,
#: since the same line may be reached by several tasks.
_FRAMES, _CALLS, _LOOKS, _ALIKE = 40, 200, 5000, 5
_TASKS, _ATTEMPTS, _DEEPEST = 10, 5, 300
_POOL = "concurrent/futures/thread.py"
_LOOP = "asyncio/events.py"  # is on the stack of a loop's thread while a task runs
_TEXT, _MESSAGE = 400, 24000
_PATIENCE_S = 0.1


class _Calls:
    """What one process has told so far."""

    def __init__(self, directory: str) -> None:
        self.path = directory + "/" + SOCKET
        self.folder = _folder()
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a child does."""
        self.pid = os.getpid()
        self.busy: set[int] = set()
        self.told: set[object] = set()
        self.alike: dict[int, int] = {}
        self.looks = 0
        self.untold = 0

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Told of every event by Python itself, in the thread that raised it."""
        if event not in SENT and event not in ASKED:
            return
        thread = None
        try:
            import _thread  # noqa: PLC0415 - now, for the process may be ending

            if self.pid != os.getpid():
                self.forget()
            ident = _thread.get_ident()
            if ident in self.busy:
                return
            self.busy.add(ident)
            thread = ident
            self.look(event, arguments, sys._getframe(1))
        except Exception:  # noqa: BLE001, S110 - the call goes on as if nobody had looked
            pass
        finally:
            if thread is not None:
                self.busy.discard(thread)

    def look(self, event: str, arguments: tuple[Any, ...], frame: Optional[FrameType]) -> None:
        """Tell of the call, unless it is innocent, was told before or is one too many."""
        target = _sent_to(*arguments[:2]) if event in SENT else _asked_for(arguments[0])
        if target is None:
            return
        self.looks += 1
        if self.looks > _LOOKS or len(self.told) >= _CALLS:
            self.untold += 1
            if self.untold & (self.untold - 1) == 0:
                self.send(event, target, ())
            return
        own = tuple(_walk(frame))
        alike = hash((event, target, tuple((id(code), line) for code, line in own)))
        self.alike[alike] = self.alike.get(alike, 0) + 1
        if self.alike[alike] > _ALIKE:
            return
        lines = _lines(own, frame)
        if (event, target, lines) not in self.told:
            self.told.add((event, target, lines))
            self.send(event, target, lines)

    def send(self, event: str, target: tuple[str, str], lines: Lines) -> None:
        """One datagram; where nobody takes it, that is one more call that is not told."""
        import _socket  # noqa: PLC0415 - it is there already, for who calls out has it

        head = "\0".join((event, *target, str(self.pid), str(self.untold))).encode("utf-8", "replace")
        frames = [self.frame(code, line) for code, line in lines]
        while sum(map(len, frames)) > _MESSAGE:
            frames.pop(0)
        message = head + b"".join(frames)
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            sock.settimeout(_PATIENCE_S)
            sock.connect(self.path)
            sock.send(message)
        except OSError:
            self.untold += 1
        finally:
            sock.close()

    def frame(self, code: CodeType, line: int) -> bytes:
        """Three fields, each behind its separator."""
        file = code.co_filename
        if not file.startswith(("/", "<")):
            file = os.path.normpath(self.folder + "/" + file)
        function = getattr(code, "co_qualname", code.co_name)
        return "\0".join(("", _short(file), str(line), _short(function))).encode("utf-8", "replace")


def install(directory: str) -> None:
    """Have Python tell of its events from now on; ``directory`` is where the socket is."""
    sys.addaudithook(_Calls(directory).hook)


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib would be loaded for it
    except OSError:
        return "/"


def _short(text: str) -> str:
    return text.replace("\0", " ")[-_TEXT:]


def _text(value: object) -> str:
    """A name or an address as programs give it: some give bytes."""
    text = value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else str(value)
    return text.replace("\0", " ")[:_TEXT]


def _sent_to(sock: Any, address: Any) -> Optional[tuple[str, str]]:  # noqa: ANN401 - whatever a program gives
    """Host and port; None for what stays in the container, and for a socket that is connected already."""
    if not isinstance(address, tuple) or int(sock.family) not in _INTERNET:
        return None
    host = _text(address[0])
    return None if _is_innocent(host) else (host, str(int(address[1])))


def _asked_for(name: Any) -> Optional[tuple[str, str]]:  # noqa: ANN401 - whatever a program gives
    """The name or the address, and no port; ``getnameinfo`` has both in a pair."""
    name = name[0] if isinstance(name, tuple) else name
    if name is None:
        return None
    host = _text(name)
    return None if _is_innocent(host) else (host, "")


def _is_innocent(host: str) -> bool:
    host = host.lower()
    host = host[7:] if host.startswith("::ffff:") else host
    return host in _ANYWHERE or host in OWN or host.startswith("127.") or host.endswith(".localhost")


def _lines(own: Lines, frame: Optional[FrameType]) -> Lines:
    """The stack, outermost first: that of this thread, and in it that of the tasks which wait for what it does."""
    loop = next((place for place, (code, _) in enumerate(own) if _is_in(code, _LOOP)), len(own))
    waiting: list[tuple[CodeType, int]] = []
    try:
        if any(_is_in(code, _POOL) for code, _ in own):
            waiting += _waiting_for_worker(frame)
        elif loop < len(own):
            asyncio = sys.modules["asyncio"]
            waiting += _waiting_for(asyncio, asyncio.current_task())
    except Exception:  # noqa: BLE001, S110 - what is inside of asyncio differs between releases
        pass
    lines = (line for line in (*own[:loop], *waiting, *own[loop:]) if not line[0].co_filename.startswith("<frozen "))
    return tuple(reversed(tuple(lines)[:_FRAMES]))


def _walk(frame: Optional[FrameType]) -> Iterator[tuple[CodeType, int]]:
    """From the innermost frame outwards; of a deep recursion the innermost part."""
    for _ in range(_DEEPEST):
        if frame is None:
            return
        yield frame.f_code, frame.f_lineno or 0
        frame = frame.f_back


def _is_in(code: CodeType, file: str) -> bool:
    return code.co_filename.endswith(file)


def _waiting_for_worker(frame: Optional[FrameType]) -> Iterable[tuple[CodeType, int]]:
    """Who waits for what this worker of a pool does, from the innermost frame outwards.

    asyncio looks names up in such workers. The worker's item knows its future. Either a task waits for that future
    already, or the loop's thread is still on its way out of handing the item over, or of the task that did. While this
    looks, that thread goes on: so it looks again where it saw nothing.
    """
    future = None
    while frame is not None and future is None:
        if _is_in(frame.f_code, _POOL):
            future = getattr(frame.f_locals.get("self"), "future", None)
        frame = frame.f_back
    if future is None:
        return ()
    for _ in range(_ATTEMPTS):
        for other in list(sys._current_frames().values()):
            if _hands_over(other, future):
                return _walk(other)
        for waited in _behind(future):
            running = sys._current_frames().get(waited.get_loop()._thread_id)
            current = list(_walk(running))
            lines = _waiting_for(sys.modules["asyncio"], waited)
            if lines or any(_is_in(code, _LOOP) for code, _ in current):
                return lines or current
    return ()


def _waiting_for(asyncio: Any, future: Any) -> list[tuple[CodeType, int]]:  # noqa: ANN401 - of the program's own asyncio
    """The frames of tasks that wait for an asyncio future, and for each other, from the innermost outwards."""
    lines: list[tuple[CodeType, int]] = []
    tasks = asyncio.all_tasks(future.get_loop())
    for _ in range(_TASKS):
        waited = [future, *_behind(future)]
        future = next((task for task in tasks if any(task._fut_waiter is item for item in waited)), None)
        if future is None:
            break
        lines += _awaiting(future.get_coro())
    return lines


def _behind(future: Any) -> list[Any]:  # noqa: ANN401 - of the program's own asyncio
    """The futures that are done when this one is: those who chain, gather or wait keep them in their callbacks."""
    callbacks = getattr(future, "_done_callbacks", None) or [pair[0] for pair in future._callbacks or ()]
    held = [cell.cell_contents for call in callbacks for cell in getattr(call, "__closure__", None) or ()]
    held += [argument for call in callbacks for argument in getattr(call, "args", ())]
    return [value for value in held if hasattr(value, "get_loop") and value is not future]


def _awaiting(coroutine: Any) -> Iterable[tuple[CodeType, int]]:  # noqa: ANN401 - coroutines of many kinds
    """The frames of a coroutine that waits, from the innermost outwards."""
    found: list[tuple[CodeType, int]] = []
    while coroutine is not None and len(found) < 2 * _FRAMES:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            found.append((frame.f_code, frame.f_lineno or 0))
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return reversed(found)


def _hands_over(frame: Optional[FrameType], future: object) -> bool:
    """Whether a thread has just given that future's item to the pool; only the pool's own frames are looked into."""
    while frame is not None:
        code = frame.f_code
        is_giver = code.co_name not in {"run", "_worker"} and ("/asyncio/" in code.co_filename or _is_in(code, _POOL))
        if is_giver and any(value is future for value in frame.f_locals.values()):
            return True
        frame = frame.f_back
    return False
