"""The positive control: a packet and a question that are sent on purpose, and must be caught."""

from __future__ import annotations

import time
from pathlib import Path

from bundler.core.egress import Attempt
from bundler.core.errors import CheckError
from bundler.core.provenance import Control
from bundler.installer.egress.holder_image import CONTROL, PROGRAM
from bundler.installer.egress.holder_program import CONTROL_NAME, CONTROL_PORT
from bundler.installer.egress.listener import Listener
from bundler.installer.egress.wire import GATEWAY, NAME_SERVER
from bundler.installer.engine import Engine, Holder, RunSpec

#: For a container that has next to nothing to do: on a busy host its engine takes seconds to start it.
_WITHIN_S = 60.0
_PATIENCE_S = 3.0


def require_control(engine: Engine, holder: Holder, listener: Listener) -> Control:
    """Let a container beside the holder call out; gives what was seen of it, raises CheckError unless all of it was.

    It also has to be so that a service's own questions would come out here: the name server is the one on the wire.
    """
    spec = RunSpec((PROGRAM, holder.token, CONTROL), _WITHIN_S, network=holder)
    result = engine.run(holder.image_id, spec)
    if result.exit_code != 0:
        raise _not_done(f"its control could not be run: it ended with {result.exit_code}: {result.output}")
    missing = _missing(listener)
    deadline = time.monotonic() + _PATIENCE_S
    while missing and time.monotonic() < deadline:
        time.sleep(0.05)
        missing = _missing(listener)
    if missing:
        raise _not_done(f"its control, {' and '.join(missing)} sent on purpose, was not caught")
    caught = listener.collect(result.began)
    servers = _name_servers(holder.pid)
    if servers != [str(NAME_SERVER)]:
        raise _not_done(f"checks would ask other name servers than the one that is listened to: {servers}")
    packet, question = next(filter(_is_packet, caught)), next(filter(_is_question, caught))
    return Control(str(GATEWAY), CONTROL_PORT, CONTROL_NAME, packet.after_s, question.after_s)


def _missing(listener: Listener) -> list[str]:
    """What of the control was not seen yet."""
    seen = listener.attempts(0.0)
    packet, question = any(map(_is_packet, seen)), any(map(_is_question, seen))
    return [*([] if packet else ["a packet"]), *([] if question else ["a question"])]


def _is_packet(item: Attempt) -> bool:
    return (item.protocol, item.address, item.port) == ("UDP", str(GATEWAY), CONTROL_PORT)


def _is_question(item: Attempt) -> bool:
    return (item.protocol, item.name) == ("DNS", CONTROL_NAME)


def _name_servers(pid: int) -> list[str]:
    """Whom the holder asks, and with it all who join it."""
    try:
        lines = Path("/proc", str(pid), "root", "etc", "resolv.conf").read_text().splitlines()
    except OSError as error:
        raise _not_done(f"the name server of its container cannot be read: {error}") from error
    return [fields[1] for fields in map(str.split, lines) if len(fields) > 1 and fields[0] == "nameserver"]


def _not_done(why: str) -> CheckError:
    return CheckError(
        f"the proof that nothing calls out was not done: {why}",
        where="the checks' network name space",
        remedy="run the same command again; look whether something else changes this host's networks and containers now",
    )
