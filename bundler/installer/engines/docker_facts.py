"""What a Docker engine tells of itself, and what can be seen of its disk from here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from bundler.core.docker_api import EngineClient, not_docker
from bundler.installer.engine import CONTAINERD, EngineFacts
from bundler.installer.engines.docker_store import Store

_SYSTEM_CONTAINERD = Path("/var/lib/containerd")


def read_info(client: EngineClient) -> dict[str, Any]:
    """The engine's ``/info``."""
    info = client.ask_json("GET", "/info")
    if not isinstance(info, dict):
        raise not_docker(client.address)
    return info


def read_facts(client: EngineClient, store: Store) -> EngineFacts:
    """What is true of the engine now."""
    info, about = read_info(client), client.ask_json("GET", "/version")
    engine_root = Path(str(info.get("DockerRootDir") or "/var/lib/docker"))
    is_local = client.address.startswith("unix:")
    root = _containerd_root(engine_root) if store.name == CONTAINERD and is_local else engine_root
    return EngineFacts(
        name="docker",
        version=str(about.get("Version")),
        api_version=client.api_version,
        platform=platform_of(info, about),
        store=store.name,
        engine_id=str(info.get("ID") or ""),
        data_root=root,
        free_size=_free_size({engine_root, root}) if is_local else None,
        peak_factor=store.peak_factor,
        kept_factor=store.kept_factor,
        system=str(info.get("OperatingSystem") or ""),
        kernel=str(info.get("KernelVersion") or ""),
    )


def platform_of(info: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """``os/architecture`` in OCI's names: ``/version`` has Go's, which are the same; ``/info`` has the kernel's."""
    return f"{about.get('Os') or info.get('OSType')}/{about.get('Arch') or info.get('Architecture')}"


def _containerd_root(engine_root: Path) -> Path:
    """Where containerd keeps what dockerd gives it; no version of the API tells.

    A containerd that dockerd started itself is below dockerd's own root. That of the system is beside it
    (``/var/lib/docker``, ``/var/lib/containerd``), and stays there when only dockerd's root was moved.
    """
    candidates = (engine_root / "containerd" / "daemon", engine_root.parent / "containerd", _SYSTEM_CONTAINERD)
    return next((path for path in candidates if _is_folder(path)), engine_root)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # above it stands a folder that this user may not enter
        return False


def _free_size(roots: set[Path]) -> Optional[int]:
    """The bytes that are free where the engine stores: the least of several; None where nothing of it is seen."""
    sizes = []
    for root in roots:
        try:
            state = os.statvfs(root)
        except OSError:
            continue
        sizes.append(state.f_bavail * state.f_frsize)
    return min(sizes, default=None)
