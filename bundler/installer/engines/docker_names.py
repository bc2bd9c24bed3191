"""Giving and taking names in Docker, where taking an image's last name deletes the image.

A name that moves to another image leaves the former one behind without a name, in both kinds of store. So a name is
taken away by moving it to a placeholder, an image without layers, and removing it there: the placeholder goes, and
the image stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient, EngineRefusedError
from bundler.core.errors import EngineError
from bundler.core.oci import Image, render_config, render_manifest
from bundler.core.reference import Reference
from bundler.installer.engines.docker_load import send_archive
from bundler.installer.engines.docker_store import Store, inspect, inspect_document

_PLACEHOLDER = Reference.parse("localhost/bundler-placeholder:1")


def point(client: EngineClient, reference: Reference, image_id: Digest) -> None:
    """Make ``reference`` the name of the image, whatever it named before."""
    name = named(client, reference)
    client.ask("POST", f"/images/{image_id}/tag", params={"repo": name.name, "tag": name.tag, "force": "1"})
    held = inspect(client, str(name))
    if held is None or held.image_id != image_id:
        raise EngineError(
            f"the engine did not give the name {name} to {image_id}",
            where=client.address,
            remedy="look whether something else changes the engine's images now, and run the same command again",
        )


def take_away(client: EngineClient, store: Store, reference: Reference, platform: str) -> None:
    """Take the name ``reference`` away, if it is there; the image that bore it stays."""
    name = named(client, reference)
    if inspect(client, str(name)) is None:
        return
    with _placeholder(client, store, platform) as placeholder:
        point(client, name, placeholder)
        client.ask("DELETE", f"/images/{name}", params={"noprune": "1"})


def forget(client: EngineClient, image_id: Digest) -> None:
    """Remove an image unless it has a name or a container; one that is gone is no error."""
    document = inspect_document(client, str(image_id))
    if document is None or document.get("RepoTags"):
        return
    try:
        client.ask("DELETE", f"/images/{image_id}", params={"noprune": "1"})
    except EngineRefusedError as error:
        if error.status not in {404, 409}:  # gone meanwhile; used by a container or by an image built on it
            raise


def named(client: EngineClient, reference: Reference) -> Reference:
    """The name and tag; EngineError for a digest alone, which no engine takes for a name."""
    if reference.digest and not reference.tag:
        raise EngineError(
            f"{reference} cannot be given as a name: Docker names images by tags only",
            where=client.address,
            remedy="give the image a tag in the recipe",
        )
    return reference.without_digest().tagged()


@contextmanager
def _placeholder(client: EngineClient, store: Store, platform: str) -> Iterator[Digest]:
    """An image without layers, for the time of the block."""
    os_name, _, architecture = platform.partition("/")
    document = {"os": os_name, "architecture": architecture, "config": {"Labels": {"io.bundler.placeholder": "1"}}}
    config = render_config(document, ())
    image = Image(_PLACEHOLDER, config, render_manifest(config, ()), ())
    send_archive(client, store.archive(image, None), 0, set())
    try:
        yield store.id_of(image)
    finally:
        forget(client, store.id_of(image))
