"""What the installer needs of a container engine: the protocol that each module of ``installer/engines`` fills.

What an engine cannot do is said by ``EngineFacts``, never found out by looking at its type. Images go in layer by
layer and without a name; names are given last, by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Optional, Protocol

from bundler.core.digest import Digest
from bundler.core.errors import EngineError
from bundler.core.oci import Image
from bundler.core.provenance import ProvingEngine
from bundler.core.reference import Reference

#: How a store knows a layer, and so which form of it is sent: by the chain below it (plain tars), or by its blob.
GRAPH, CONTAINERD = "graph", "containerd"


@dataclass(frozen=True)
class EngineFacts:
    """What is true of an engine now. Sizes are bytes; what it does not tell is None.

    ``engine_id`` names this installation of the engine, so that receipts are not taken for another one's.
    ``peak_factor`` and ``kept_factor`` say how many bytes of its data root one byte of an uncompressed layer takes
    while it is loaded and afterwards, as measured for this store. ``system`` and ``kernel`` are its host's.
    """

    name: str
    version: str
    api_version: str
    platform: str
    store: str
    engine_id: str
    data_root: Optional[Path]
    free_size: Optional[int]
    peak_factor: float
    kept_factor: float
    system: str = ""
    kernel: str = ""

    @property
    def proving(self) -> ProvingEngine:
        """What is said of it where it proved something."""
        named = (self.name, self.version, self.api_version, self.platform, self.store)
        return ProvingEngine(*named, system=self.system, kernel=self.kernel)


@dataclass(frozen=True)
class ImageConfig:
    """How an image's containers run: the ``user`` (empty: root), variables, and the paths of its volumes."""

    user: str
    variables: Mapping[str, str]
    volumes: tuple[str, ...]


@dataclass(frozen=True)
class HeldImage:
    """An image as the engine holds it: the id that it answers to, and its layers from the lowest."""

    image_id: Digest
    diff_ids: tuple[Digest, ...]
    config: ImageConfig = field(default_factory=lambda: ImageConfig("", {}, ()), compare=False)


@dataclass(frozen=True)
class FileStat:
    """A file in a created container; ``kind`` is ``file``, ``directory``, ``link`` or ``other``."""

    kind: str
    size: int
    mode: int


@dataclass(frozen=True)
class Holder:
    """A container that only pauses, so that a network name space is there before anything runs in it.

    ``pid`` is its process by the engine's count; the command line of that process ends with ``token``, which tells
    whether it is the same by the count of this host. ``image_id`` is the image that it was made of.
    """

    container_id: str
    image_id: Digest
    pid: int
    token: str


class HasNetwork(Protocol):
    """A running container whose network name space others can join."""

    @property
    def container_id(self) -> str:
        """The engine's id of it."""


@dataclass(frozen=True)
class RunSpec:
    """A command to run in a container without a network, read-only, without capabilities, standard input closed.

    Without a ``command`` it is the image's own, as it starts in production. ``mounts`` are directories of this host by
    their paths in the container, read-only there: for rehearsals of images that do not hold their models yet.
    ``network`` is the container whose network name space it joins, None for none. ``gpu``: it gets all GPUs.
    ``stdout_apart``: its standard output is wanted by itself too.
    """

    command: tuple[str, ...]
    timeout_s: float
    user: Optional[str] = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    network: Optional[HasNetwork] = None
    gpu: bool = False
    stdout_apart: bool = False


@dataclass(frozen=True)
class RunResult:
    """How it ended: ``exit_code`` is None where the time ran out; ``output`` is the end of what it printed.

    ``began`` is when it was started, by ``time.monotonic``. ``stdout`` is the end of its standard output, without the
    errors that may stand in the middle of a line of ``output``; empty unless it was wanted.
    """

    exit_code: Optional[int]
    output: str
    seconds: float
    began: float
    stdout: str = ""


class NoGpuError(EngineError):
    """The engine has no GPU to give to a container; ``why`` is its own text."""

    def __init__(self, why: str, *, where: str) -> None:
        super().__init__(
            f"the engine has no GPU: {why}",
            where=where,
            remedy="run it on a host with a GPU that the engine can give to containers (docker run --gpus all)",
        )
        self.why = why


class Running(HasNetwork, Protocol):
    """A command that was started, whether it still runs or has ended."""

    @property
    def began(self) -> float:
        """When it was started, by ``time.monotonic``."""

    def exit_code(self) -> Optional[int]:
        """None while it runs; 127 or 126 for one that is not there or not executable."""

    def stop(self, grace_s: float) -> None:
        """Ask it to end, as the engine does for an image of that kind, and kill it after ``grace_s``; wait for that."""

    def output(self) -> bytes:
        """The end of what it printed up to now, errors among it; whole once it has ended."""


class Container(Protocol):
    """A container that was created and never started: a way to look into an image."""

    def stat(self, path: str) -> Optional[FileStat]:
        """What stands at ``path``, links not followed; None where nothing does."""

    def archive(self, path: str) -> BinaryIO:
        """What stands at and below ``path`` as a tar stream, its names relative to the path's parent."""


class Engine(Protocol):
    """A container engine on this host. Every method raises EngineError when the engine answers wrongly or not at all."""

    def facts(self) -> EngineFacts:
        """What is true of the engine now."""

    def id_of(self, image: Image) -> Digest:
        """The id under which this engine will hold ``image``."""

    def held(self, image: Image, vouched: Set[Digest]) -> int:
        """How many of the lowest layers need not be sent; ``vouched`` are blobs that our own receipts say it holds."""

    def load_layer(self, prefix: Image, layer: Optional[BinaryIO]) -> Digest:
        """Make ``prefix`` stand, nameless, from its topmost layer and what is held below; gives the id.

        ``layer`` is plain for a graph store and as stored for a containerd store; None where the topmost is held too.
        Raises unless the engine's whole answer is success and the id is the expected one; BundleError where the fault
        is the layer's own.
        """

    def find(self, image: Reference | Digest) -> Optional[HeldImage]:
        """The image of that name or id, None where there is none."""

    def created(self, image_id: Digest) -> AbstractContextManager[Container]:
        """A container of the image, removed with its anonymous volumes when the block ends."""

    def set_names(self, names: Mapping[Reference, Optional[Digest]]) -> None:
        """Point each name at an image, or take it away (None); an image that loses its last name stays."""

    def run(self, image_id: Digest, spec: RunSpec) -> RunResult:
        """Run a command as ``RunSpec`` says, never with a network that leads anywhere; NoGpuError where it lacks one."""

    def started(self, image_id: Digest, spec: RunSpec) -> AbstractContextManager[Running]:
        """The same command while it runs; killed and removed when the block ends. ``timeout_s`` is the caller's to keep."""

    def helpers(self) -> AbstractContextManager[Digest]:
        """The image with bundler's own programs (`egress.holder_image`), removed when the block ends."""

    def holder(self) -> AbstractContextManager[Holder]:
        """A container that holds an empty network name space; it and its image are removed when the block ends."""

    def paused(self, image_id: Digest) -> AbstractContextManager[Holder]:
        """A container of the image that runs nothing of it, in no network; removed when the block ends."""

    def forget(self, image_ids: Iterable[Digest]) -> None:
        """Remove images that have no name and that no container uses; those that are gone already are no error."""

    def remove_leftovers(self) -> int:
        """Remove the containers and holders' images that killed runs left on this engine; gives the containers' number."""
