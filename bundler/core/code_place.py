"""Where in the code a call came from that tries to reach out, as the audit hook in a Python process saw it.

The hook is optional (``--where-in-code``), and what it saw only explains attempts that the tripwire caught.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

from bundler.core.json_fields import Fields

_INSTALLED = re.compile(r".*/(?:site|dist)-packages/")
_STANDARD = re.compile(r".*/lib(?:64|32)?/(?:python|pypy)\d[\d.]*t?/|<frozen ")


@dataclass(frozen=True)
class Frame:
    """A line that was being run: its file, its number, and the function."""

    file: str
    line: int
    function: str

    @property
    def is_installed(self) -> bool:
        """Whether it belongs to a package that was installed."""
        return _INSTALLED.match(self.file) is not None

    @property
    def is_standard(self) -> bool:
        """Whether it belongs to Python's standard library."""
        return not self.is_installed and _STANDARD.match(self.file) is not None

    @property
    def told(self) -> str:
        """File and line for people; of an installed package without the way to where packages are."""
        return f"{_INSTALLED.sub('', self.file)} line {self.line}"


@dataclass(frozen=True)
class CodePlace:
    """One call: the ``event`` of Python that it raised, what it was for, and the ``stack`` with the innermost frame last.

    ``host`` is the address or the name that was given, ``port`` is None for look-ups; ``pid`` is the process's id in its
    container, ``after_s`` the time since the start of the check.
    """

    event: str
    host: str
    port: Optional[int]
    pid: int
    after_s: float
    stack: tuple[Frame, ...]

    @property
    def told(self) -> str:
        """The innermost line of the program's own code, and behind it the innermost one of an installed package."""
        own = _innermost(frame for frame in self.stack if not frame.is_installed and not frame.is_standard)
        installed = _innermost(frame for frame in self.stack if frame.is_installed)
        first = own or installed or _innermost(self.stack)
        if first is None:
            return ""
        behind = own and installed and self.stack.index(installed) > self.stack.index(own)
        return f"{first.told} in {first.function}" + (f" ({installed.told})" if installed and behind else "")

    def to_json(self) -> dict[str, Any]:
        """The form in papers, receipts and ``--json``."""
        return {
            "event": self.event,
            "host": self.host,
            "port": self.port,
            "pid": self.pid,
            "after_s": round(self.after_s, 3),
            "stack": [{"file": item.file, "line": item.line, "function": item.function} for item in self.stack],
        }


def parse_code_place(fields: Fields) -> CodePlace:
    """Read what a receipt keeps; raises BundleError where it is not as it was written."""
    return CodePlace(
        event=fields.text("event"),
        host=fields.text("host"),
        port=fields.optional_integer("port"),
        pid=fields.integer("pid"),
        after_s=fields.duration("after_s"),
        stack=tuple(
            Frame(item.text("file"), item.integer("line"), item.text("function")) for item in fields.objects("stack")
        ),
    )


def _innermost(frames: Iterable[Frame]) -> Optional[Frame]:
    return next(iter(reversed(tuple(frames))), None)
