"""The holder's image: one layer with two programs, as a value that every store of an engine takes.

It travels in no kit: it is made when it is needed, from `holder_program` and `asker_program`, and removed from the
engine afterwards.
"""

from __future__ import annotations

import tarfile

from bundler.core.oci import LAYER_TAR, Descriptor, Image, Layer, render_config, render_manifest
from bundler.core.reference import Reference
from bundler.installer.egress import asker_program, holder_program
from bundler.installer.egress.elf import ARCHITECTURES

PROGRAM, ASKER = "/bundler-holder", "/bundler-asker"
#: The last argument of the container that sends the control.
CONTROL = "control"
_NAME = Reference.parse("localhost/bundler-holder:1")


def can_hold(platform: str) -> bool:
    """Whether there is a holder for this platform (``os/architecture``)."""
    return platform in {f"linux/{architecture}" for architecture in ARCHITECTURES}


def holder_layer(platform: str) -> bytes:
    """The layer as a plain tar."""
    architecture = platform.partition("/")[2]
    programs = {ASKER: asker_program.program(architecture), PROGRAM: holder_program.program(architecture)}
    return b"".join(_member(name, content) for name, content in programs.items()) + bytes(1024)


def _member(name: str, content: bytes) -> bytes:
    entry = tarfile.TarInfo(name[1:])
    entry.mode, entry.size = 0o755, len(content)
    return entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def holder_image(platform: str) -> Image:
    """The image; its layer is stored as it is unpacked."""
    plain = holder_layer(platform)
    blob = Descriptor.of(LAYER_TAR, plain)
    layers = (Layer(blob.digest, blob.size, blob, "os"),)
    os_name, _, architecture = platform.partition("/")
    config = render_config({"os": os_name, "architecture": architecture, "config": {"User": "65534:65534"}}, layers)
    return Image(_NAME, config, render_manifest(config, layers), layers)
