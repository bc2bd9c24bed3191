"""A container of an image in Docker that runs nothing of the image, so that its files can be seen in a process's root.

The holder's program is put into it before it starts; it stands in that container alone, not in the image.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient
from bundler.installer.egress.holder_image import PROGRAM, holder_layer
from bundler.installer.engine import Holder
from bundler.installer.engines.docker_containers import container
from bundler.installer.engines.docker_holder import start_pausing

_LIMITS = {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "LogConfig": {"Type": "none"}}


@contextmanager
def paused(client: EngineClient, image_id: Digest, platform: str) -> Iterator[Holder]:
    """A running container of the image that only waits; killed and removed when the block ends.

    Raises EngineRefusedError where the engine does not start it.
    """
    token = secrets.token_hex(16)
    config = {
        "Entrypoint": [PROGRAM, token],
        "Cmd": [],
        "User": "65534:65534",
        "WorkingDir": "/",
        "Healthcheck": {"Test": ["NONE"]},
    }
    with container(client, image_id, config, _LIMITS) as container_id:
        client.ask(
            "PUT", f"/containers/{container_id}/archive", params={"path": "/"}, data=iter([holder_layer(platform)])
        )
        yield Holder(container_id, image_id, start_pausing(client, container_id, "a container that only waits"), token)
