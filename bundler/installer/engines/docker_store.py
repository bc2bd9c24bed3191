"""The two kinds of image store of Docker: by what each knows images and layers, and in which form it takes them.

A graph driver knows an image by its config and a layer by the chain of diff_ids below it. A containerd store knows
both by their blobs: the image is its manifest, and a layer that it holds under another blob digest is not held, since
an image without its own blob runs but cannot be saved again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import takewhile
from typing import Any, BinaryIO, Optional, Protocol

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient, EngineRefusedError, not_docker
from bundler.core.docker_archive import docker_archive, oci_archive
from bundler.core.errors import EngineError
from bundler.core.oci import Image
from bundler.installer.engine import CONTAINERD, GRAPH, HeldImage, ImageConfig

_MANIFESTS_SINCE = (1, 47)
_SNAPSHOTTER = "io.containerd.snapshotter.v1"


class Store(Protocol):
    """What differs between the two kinds. Factors: bytes on disk for a byte of a plain layer, see ``EngineFacts``."""

    name: str
    peak_factor: float
    kept_factor: float

    def id_of(self, image: Image) -> Digest:
        """The id that ``image`` has there."""

    def archive(self, image: Image, layer: Optional[BinaryIO]) -> Iterator[bytes]:
        """The archive to load ``image`` from."""

    def held(self, image: Image, vouched: Set[Digest]) -> int:
        """How many of the lowest layers are there."""

    def confirm(self, image: Image) -> None:
        """Raise EngineError unless all that ``image`` is made of is there, as far as the engine tells."""


class GraphStore:
    """Images in a graph driver, mostly overlay2."""

    name = GRAPH
    peak_factor = 2.0  # the archive is unpacked to a temporary folder first, then each layer out of it
    kept_factor = 1.0

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    def id_of(self, image: Image) -> Digest:
        """The digest of the config."""
        return image.image_id

    def archive(self, image: Image, layer: Optional[BinaryIO]) -> Iterator[bytes]:
        """The docker-archive form, its layer plain."""
        return docker_archive(image, layer)

    def held(self, image: Image, vouched: Set[Digest]) -> int:  # noqa: ARG002 - the engine itself tells
        """The longest stack of lowest layers that one of the engine's images begins with."""
        stacks = (held.diff_ids for held in images_of(self._client))
        return max((_common(stack, image.diff_ids) for stack in stacks), default=0)

    def confirm(self, image: Image) -> None:
        """Nothing: a graph driver checks each diff_id while it unpacks, and has no image without its layers."""


class ContainerdStore:
    """Images in containerd's store."""

    name = CONTAINERD
    peak_factor = 2.0  # the blob, hardly smaller than the layer at worst, and its unpacked form, both for good
    kept_factor = 2.0

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._tells = tuple(int(part) for part in client.api_version.split(".")) >= _MANIFESTS_SINCE

    def id_of(self, image: Image) -> Digest:
        """The digest of the manifest."""
        return image.manifest_digest

    def archive(self, image: Image, layer: Optional[BinaryIO]) -> Iterator[bytes]:
        """The OCI layout, its layer as stored."""
        return oci_archive(image, layer)

    def held(self, image: Image, vouched: Set[Digest]) -> int:
        """The lowest layers whose blobs are vouched for, or belong to a part of ``image`` that stands complete.

        The engine tells which manifests it holds, not which blobs: those of the image and of its prefixes are known.
        """
        complete = self._complete()
        counts = range(len(image.layers), 0, -1)
        count = next((count for count in counts if image.prefix(count).manifest_digest in complete), 0)
        known = vouched | {layer.blob.digest for layer in image.layers[:count]}
        return len(list(takewhile(lambda layer: layer.blob.digest in known, image.layers)))

    def confirm(self, image: Image) -> None:
        """All blobs are there; Docker before API 1.47 does not tell, and is believed."""
        if self._tells and image.manifest_digest not in self._complete():
            raise EngineError(
                "the engine took the image, but lacks blobs of it",
                where=self._client.address,
                remedy="an image that held them was removed meanwhile: run the same command again",
            )

    def _complete(self) -> set[Digest]:
        """The manifests whose content is there; below API 1.47 those of all images, which the engine only believes."""
        complete: set[Digest] = set()
        for entry in listed(self._client, manifests=self._tells):
            manifests = entry.get("Manifests") or []
            whole = (
                [item.get("ID") for item in manifests if item.get("Available")] if self._tells else [entry.get("Id")]
            )
            complete.update(_digest(text, self._client.address) for text in whole)
        return complete


def store_of(client: EngineClient, info: Mapping[str, Any]) -> Store:
    """The store that the engine's ``/info`` speaks of."""
    status = info.get("DriverStatus") or []
    kinds = {str(row[1]) for row in status if len(row) == 2 and row[0] == "driver-type"}
    return ContainerdStore(client) if _SNAPSHOTTER in kinds else GraphStore(client)


def listed(client: EngineClient, *, manifests: bool = False) -> list[dict[str, Any]]:
    """All images, those without a name and intermediate ones too, as the engine lists them."""
    params = {"all": "1", **({"manifests": "1"} if manifests else {})}
    entries = client.ask_json("GET", "/images/json", params=params)
    if not isinstance(entries, list):
        raise not_docker(client.address)
    return entries


def images_of(client: EngineClient) -> Iterator[HeldImage]:
    """Each of the engine's images with its layers."""
    for image_id in {str(entry.get("Id")) for entry in listed(client)}:
        held = inspect(client, image_id)
        if held:
            yield held


def inspect(client: EngineClient, name: str) -> Optional[HeldImage]:
    """The image that answers to ``name``, None where there is none."""
    document = inspect_document(client, name)
    if document is None:
        return None
    layers = (document.get("RootFS") or {}).get("Layers") or []
    return HeldImage(
        _digest(document.get("Id"), client.address),
        tuple(_digest(text, client.address) for text in layers),
        _config(document.get("Config") or {}),
    )


def _config(document: Mapping[str, Any]) -> ImageConfig:
    variables = dict(str(each).partition("=")[::2] for each in document.get("Env") or ())
    return ImageConfig(str(document.get("User") or ""), variables, tuple(document.get("Volumes") or ()))


def _digest(text: object, where: str) -> Digest:
    try:
        return Digest.parse(str(text))
    except ValueError as error:
        raise not_docker(where) from error


def inspect_document(client: EngineClient, name: str) -> Optional[dict[str, Any]]:
    """What the engine says of the image ``name``, None where there is none."""
    try:
        document = client.ask_json("GET", f"/images/{name}/json")
    except EngineRefusedError as error:
        if error.status == 404:
            return None
        raise
    if not isinstance(document, dict):
        raise not_docker(client.address)
    return document


def _common(one: Iterable[Digest], other: Iterable[Digest]) -> int:
    """How many of the lowest layers two stacks share."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other))))
