"""The holder in Docker: a container that pauses and owns the network name space that checks join later.

Containers that join it share its name server, hosts and host name too, and Docker refuses to give them others. So
these are the holder's: the name server is one that the wire leads to, a question is given up after a second, and the
host's own name is known without a question, as it is in a container with a network. Everybody may ping, as there.

Source: Docker Engine API, ``ContainerCreate``; what each release does is held by ``tests/integration/test_egress.py``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient
from bundler.core.errors import EngineError
from bundler.installer.egress.holder_image import PROGRAM
from bundler.installer.egress.wire import HOST_NAME, INSIDE, INSIDE_6, NAME_SERVER, kernel_has_ipv6
from bundler.installer.engine import Holder
from bundler.installer.engines.docker_containers import container

#: Docker switches IPv6 off where its network has none. No address comes by itself, and none is tried before it is used.
_WITH_IPV6 = {
    f"net.ipv6.conf.{interface}.{setting}": value
    for interface in ("all", "default")
    for setting, value in (("disable_ipv6", "0"), ("accept_ra", "0"), ("autoconf", "0"), ("accept_dad", "0"))
}


@contextmanager
def held_open(client: EngineClient, image_id: Digest) -> Iterator[Holder]:
    """A running holder; killed and removed when the block ends."""
    token = secrets.token_hex(16)
    config = {"Entrypoint": [PROGRAM, token], "Cmd": [], "Hostname": HOST_NAME, "User": "65534:65534"}
    with container(client, image_id, config, _host_config(ipv6=kernel_has_ipv6())) as container_id:
        pid = start_pausing(client, container_id, "the container that holds the network of checks")
        yield Holder(container_id, image_id, pid, token)


def start_pausing(client: EngineClient, container_id: str, what: str) -> int:
    """Start a container that only pauses; gives its process by the engine's count. EngineError where ``what`` ends."""
    client.ask("POST", f"/containers/{container_id}/start")
    state = client.ask_json("GET", f"/containers/{container_id}/json")["State"]
    if not state["Running"]:
        raise EngineError(
            f"{what} ended at once: {state.get('Error') or state}",
            where=client.address,
            remedy="look into the engine's log (journalctl -u docker), then run the same command again",
        )
    return int(state["Pid"])


def _host_config(*, ipv6: bool) -> dict[str, object]:
    names = [f"{HOST_NAME}:{INSIDE}", *([f"{HOST_NAME}:{INSIDE_6}"] if ipv6 else [])]
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "LogConfig": {"Type": "none"},
        "Dns": [str(NAME_SERVER)],
        "DnsOptions": ["timeout:1", "attempts:1"],
        "DnsSearch": ["."],
        "ExtraHosts": names,
        "Sysctls": {"net.ipv4.ping_group_range": "0 2147483647", **(_WITH_IPV6 if ipv6 else {})},
    }
