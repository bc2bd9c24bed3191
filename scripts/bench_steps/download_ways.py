"""The ways to bring one file, each a process of its own that prints how long the bringing took, without its start.

``python -m bench_steps.download_ways WAY ENDPOINT TARGET [CONNECTIONS]``; ``curl`` is a program anyway.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

REPO = "bench/weights"
FILE = "model.safetensors"


def resolve_address(endpoint: str) -> str:
    """Where the Hub says that the file is."""
    return f"{endpoint}/{REPO}/resolve/main/{FILE}"


def ours(way: str, endpoint: str, target: Path, connections: int) -> float:
    """bundler's downloader, digests compared."""
    from bundler.builder.hub.downloader import Order  # noqa: PLC0415
    from bundler.builder.hub.downloaders.choose import Chosen  # noqa: PLC0415 - each process imports its own way alone
    from bundler.builder.hub.limits import Limits  # noqa: PLC0415
    from bundler.builder.hub.part import Part  # noqa: PLC0415
    from bundler.builder.hub.retry import RetryPolicy  # noqa: PLC0415
    from bundler.builder.hub.sources.credentials import Credentials  # noqa: PLC0415
    from bundler.builder.hub.sources.endpoints import parse_endpoint  # noqa: PLC0415
    from bundler.builder.hub.sources.hub_source import HubSource  # noqa: PLC0415
    from bundler.builder.recipe_models import ModelSpec  # noqa: PLC0415
    from bundler.core.progress import SilentTask  # noqa: PLC0415

    source = HubSource(parse_endpoint(endpoint, "bench"), Credentials())
    model = source.resolve(ModelSpec(name="weights", repo=REPO, path="/app/models/weights", include=(FILE,)))
    (file,) = model.files
    limits, part = Limits.of(RetryPolicy(), connections), Part(target / FILE)
    began = time.monotonic()
    remote = source.locate(model, file)
    downloader = Chosen(limits, way).downloader(file, remote, part, 1)
    if not downloader.bring(Order(file, remote, part, SilentTask())).fit():
        raise SystemExit("the digest does not fit")
    return time.monotonic() - began


def by_client(endpoint: str, target: Path) -> float:
    """``huggingface_hub.snapshot_download``, which compares sizes."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    began = time.monotonic()
    snapshot_download(REPO, endpoint=endpoint, cache_dir=target, allow_patterns=[FILE], token=False)
    return time.monotonic() - began


def by_hf_transfer(endpoint: str, target: Path, connections: int) -> float:
    """hf_transfer alone, which compares nothing; in ranges of 10 MiB, as the Hub's client once called it."""
    import hf_transfer  # noqa: PLC0415

    began = time.monotonic()
    hf_transfer.download(resolve_address(endpoint), str(target / FILE), connections, 10 << 20)
    return time.monotonic() - began


def main() -> None:
    """One way, once."""
    way, endpoint, target, *more = sys.argv[1:]
    connections = int(more[0]) if more else 8
    if way == "snapshot_download":
        seconds = by_client(endpoint, Path(target))
    elif way == "hf_transfer alone":
        seconds = by_hf_transfer(endpoint, Path(target), connections)
    else:
        seconds = ours(way.removeprefix("bundler "), endpoint, Path(target), connections)
    print(f"{seconds:.4f}")


if __name__ == "__main__":
    main()
