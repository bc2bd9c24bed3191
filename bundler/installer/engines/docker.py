"""Docker 20.10 and later, with a graph driver or the containerd store, as the installer's engine."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import BinaryIO, Optional

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient, EngineRefusedError
from bundler.core.errors import BundleError, BundlerError, EngineError
from bundler.core.oci import Image
from bundler.core.reference import Reference
from bundler.installer.egress.holder_image import can_hold, holder_image, holder_layer
from bundler.installer.engine import Container, EngineFacts, HeldImage, Holder, Running, RunResult, RunSpec
from bundler.installer.engines.docker_containers import created, remove_leftovers
from bundler.installer.engines.docker_facts import platform_of, read_facts, read_info
from bundler.installer.engines.docker_holder import held_open
from bundler.installer.engines.docker_load import send_archive
from bundler.installer.engines.docker_names import forget, point, take_away
from bundler.installer.engines.docker_paused import paused
from bundler.installer.engines.docker_run import run, started
from bundler.installer.engines.docker_store import inspect, listed, store_of

#: What every engine says of a layer that it cannot read as a tar (Go's archive/tar, ErrHeader). A stream that was cut
#: off, a full disk and an engine that ends have other words.
_NO_TAR = "archive/tar: invalid tar header"


class DockerEngine:
    """Fills ``bundler.installer.engine.Engine``; which kind of store it has is asked once."""

    def __init__(self, client: EngineClient) -> None:
        """Raises EngineError where the engine does not answer."""
        self._client = client
        self._store = store_of(client, read_info(client))

    def facts(self) -> EngineFacts:
        """What is true of the engine now."""
        return read_facts(self._client, self._store)

    def id_of(self, image: Image) -> Digest:
        """The config's digest on a graph driver, the manifest's on a containerd store."""
        return self._store.id_of(image)

    def held(self, image: Image, vouched: Set[Digest]) -> int:
        """How many of the lowest layers need not be sent.

        A graph driver tells by itself. A containerd store tells of manifests only: ``vouched`` blobs count where the
        caller has seen that an image which holds them still stands.
        """
        return self._store.held(image, vouched)

    def load_layer(self, prefix: Image, layer: Optional[BinaryIO]) -> Digest:
        """Make ``prefix`` stand, nameless; an image that came with a failed load is removed again.

        Raises BundleError where the engine reads the layer, whose bytes were checked on the way, and it is no layer.
        """
        expected = self._store.id_of(prefix)
        before = {str(entry.get("Id")) for entry in listed(self._client)}
        named: set[Digest] = set()
        try:
            size = prefix.layers[-1].uncompressed_size if prefix.layers else 0
            send_archive(self._client, self._store.archive(prefix, layer), size, named)
            self._confirm(prefix, expected, named)
        except BaseException as error:
            with suppress(BundlerError):  # the first error is the one to tell
                self.forget(image_id for image_id in {expected, *named} if str(image_id) not in before)
            if isinstance(error, EngineRefusedError) and _NO_TAR in error.message:
                raise _no_layer(prefix, error) from error
            raise
        return expected

    def _confirm(self, prefix: Image, expected: Digest, named: Set[Digest]) -> None:
        """The engine named this image alone, and holds it with these layers."""
        held = inspect(self._client, str(expected))
        if held is None or held.diff_ids != prefix.diff_ids or named != {expected}:
            told = ", ".join(sorted(map(str, named))) or "nothing"
            raise EngineError(
                f"the engine holds another image than was sent: {expected} was expected, it spoke of {told}",
                where=self._client.address,
                remedy="look whether something else changes the engine's images now, and run the same command again",
            )
        self._store.confirm(prefix)

    def find(self, image: Reference | Digest) -> Optional[HeldImage]:
        """The image of that name or id, None where there is none."""
        return inspect(self._client, str(image) if isinstance(image, Digest) else str(image.tagged()))

    def created(self, image_id: Digest) -> AbstractContextManager[Container]:
        """A container of the image, removed with its anonymous volumes when the block ends."""
        return created(self._client, image_id)

    def set_names(self, names: Mapping[Reference, Optional[Digest]]) -> None:
        """Point each name at an image, or take it away (None); an image that loses its last name stays."""
        for reference, image_id in names.items():
            if image_id is None:
                take_away(self._client, self._store, reference, self._platform())
            else:
                point(self._client, reference, image_id)

    def _platform(self) -> str:
        return platform_of(read_info(self._client), self._client.ask_json("GET", "/version"))

    def run(self, image_id: Digest, spec: RunSpec) -> RunResult:
        """Run a command as ``RunSpec`` says, never with a network that leads anywhere."""
        return run(self._client, image_id, spec)

    def started(self, image_id: Digest, spec: RunSpec) -> AbstractContextManager[Running]:
        """The same command while it runs; killed and removed when the block ends."""
        return started(self._client, image_id, spec)

    @contextmanager
    def helpers(self) -> Iterator[Digest]:
        """The image with bundler's own programs; EngineError for a platform that there are none for."""
        platform = self._platform()
        if not can_hold(platform):
            raise EngineError(
                f"bundler has no programs of its own for {platform}",
                where=self._client.address,
                remedy="check on linux/amd64 or linux/arm64",
            )
        image_id = self.load_layer(holder_image(platform), io.BytesIO(holder_layer(platform)))
        try:
            yield image_id
        finally:
            forget(self._client, image_id)

    @contextmanager
    def holder(self) -> Iterator[Holder]:
        """A container that holds an empty network name space; it and its image are removed when the block ends."""
        with self.helpers() as image_id, held_open(self._client, image_id) as holder:
            yield holder

    def paused(self, image_id: Digest) -> AbstractContextManager[Holder]:
        """A container of the image that runs nothing of it, in no network; removed when the block ends."""
        return paused(self._client, image_id, self._platform())

    def forget(self, image_ids: Iterable[Digest]) -> None:
        """Remove images that have no name and that no container uses; those that are gone already are no error."""
        for image_id in image_ids:
            forget(self._client, image_id)

    def remove_leftovers(self) -> int:
        """Remove the containers and holders' images that killed runs left on this engine; gives the containers' number."""
        count = remove_leftovers(self._client)
        if can_hold(platform := self._platform()):
            forget(self._client, self._store.id_of(holder_image(platform)))
        return count


def _no_layer(prefix: Image, error: EngineRefusedError) -> BundleError:
    return BundleError(
        f"a layer cannot be unpacked, though its digests are right: {error.message}",
        where=f"image {prefix.reference}, layer {len(prefix.layers)}, {prefix.diff_ids[-1]}",
        remedy="report this to whoever built the bundle: it has to be built anew",
    )
