"""``docker save`` read as a stream: each layer handed on as it comes, once, checked against the images' configs.

Two forms exist. Until Docker 24: a docker-archive, ``<id>/layer.tar``, links for layers that occur twice,
``<config>.json`` (moby ``image/tarexport/save.go``). From 25 on, and always with a containerd store: an OCI layout
with the same ``manifest.json`` beside it, whose layers may be compressed. In both, what names the layers comes after
them, so each is stored before it is known to whom it belongs. What ``manifest.json`` doesn't name, such as
attestations of platform unknown/unknown, is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Generic, Literal, Protocol, TypeVar, cast

from bundler.builder.engine_build.waiting import waiting_task
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.docker_api import Answer, EngineClient, translated
from bundler.core.errors import BundlerError, EngineError
from bundler.core.oci import LAYER_TAR, LAYER_ZSTD, parse_object
from bundler.core.progress import ObservedReader, Progress
from bundler.core.readers import Reader, decompress

MANIFEST_JSON = "manifest.json"
#: Configs and manifests are a few KB; nothing larger is kept in memory (bytes).
MAX_DOCUMENT_SIZE = 8 << 20
_BLOB = re.compile(r"blobs/sha256/(?P<hex>[0-9a-f]{64})")
_GZIP_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MAGICS = {b"\x1f\x8b": _GZIP_LAYER, b"\x28\xb5\x2f\xfd": LAYER_ZSTD}


class Stored(Protocol):
    """A layer in the caller's store."""

    @property
    def diff_id(self) -> Digest:
        """Digest of its plain tar."""


S = TypeVar("S", bound=Stored)
S_co = TypeVar("S_co", bound=Stored, covariant=True)


class LayerStore(Protocol[S_co]):
    """Where layers go, by diff_id."""

    def find(self, diff_id: Digest) -> S_co | None:
        """The layer, if it is there."""

    def store(self, stream: BinaryIO) -> S_co:
        """Take a plain tar, read to its end."""


@dataclass(frozen=True)
class ExportedImage(Generic[S]):
    """An image out of the engine: its config as the engine made it, and its layers from the lowest."""

    name: str
    config: bytes
    layers: tuple[S, ...]


@dataclass
class _Saved(Generic[S]):
    """What was read of a save so far: documents by member, layers by member, links from member to member."""

    where: str
    documents: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, S] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)


def export_images(
    client: EngineClient, images: Mapping[str, Sequence[Digest]], store: LayerStore[S], progress: Progress
) -> tuple[ExportedImage[S], ...]:
    """Save ``images`` (tags with the diff_ids that the engine names) in one go, as they are in the mapping.

    Raises EngineError where the archive is cut off or contradicts itself.
    """
    wanted = {diff_id for diff_ids in images.values() for diff_id in diff_ids}
    with waiting_task(progress, "layers out of the engine") as task:
        answer = client.ask("GET", "/images/get", params={"names": list(images)}, stream=True, timeout_s=3600)
        try:
            stream = cast("BinaryIO", ObservedReader(answer_stream(answer, client.address), task))
            return read_save(stream, tuple(images), wanted, store, client.address)
        finally:
            answer.close()


def answer_stream(answer: Answer, where: str) -> BinaryIO:
    """The body of a streamed answer as a file; errors as EngineError."""
    return cast("BinaryIO", _AnswerReader(answer.iter_content(CHUNK_BYTES), where))


class _AnswerReader(Reader):
    """The body of an answer as a stream."""

    def __init__(self, chunks: Iterator[bytes], where: str) -> None:
        super().__init__()
        self._chunks = chunks
        self._where = where

    def next_chunk(self) -> bytes:
        """The next piece of the body."""
        with translated(self._where):
            return next(self._chunks, b"")


def read_save(
    stream: BinaryIO,
    names: Sequence[str],
    wanted: AbstractSet[Digest],
    store: LayerStore[S],
    where: str,
    mode: Literal["r|", "r|*"] = "r|",
) -> tuple[ExportedImage[S], ...]:
    """Read a save of ``names`` (empty: of all images in it), whose layers are ``wanted`` (empty: not known before).

    ``mode`` ``r|*`` takes compressed ones too.
    """
    saved: _Saved[S] = _Saved(where)
    have_all = bool(wanted) and all(store.find(diff_id) for diff_id in wanted)
    try:
        with tarfile.open(fileobj=stream, mode=mode) as archive:
            for member in archive:
                _take(archive, member, saved, store, have_all)
    except (tarfile.TarError, EOFError) as error:
        raise _refused(f"the saved archive is damaged: {error}", where) from error
    return tuple(_assemble(entry, saved, store) for entry in _entries(saved, names))


def _take(
    archive: tarfile.TarFile, member: tarfile.TarInfo, saved: _Saved[S], store: LayerStore[S], have_all: bool
) -> None:
    name = str(PurePosixPath(member.name))
    if member.issym() or member.islnk():
        base = PurePosixPath(name).parent if member.issym() else PurePosixPath()
        saved.links[name] = _normal(base / member.linkname)
    elif member.isreg():
        content = cast("BinaryIO", archive.extractfile(member))
        head = content.read(min(member.size, 512))
        if _is_document(name, member.size, head):
            saved.documents[name] = head + content.read()
        elif have_all or _is_held(name, store):
            saved.skipped.add(name)
        else:
            saved.layers[name] = _store(head, content, store, f"{saved.where}, {name}")


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1]
        elif part not in ("/", "."):
            parts.append(part)
    return "/".join(parts)


def _is_document(name: str, size: int, head: bytes) -> bool:
    """JSON, or one of the short texts of a docker-archive. A tar has its mark at byte 257."""
    if size > MAX_DOCUMENT_SIZE or name.endswith(".tar") or head[257:262] == b"ustar":
        return False
    return not _BLOB.fullmatch(name) or head.lstrip()[:1] in (b"{", b"[")


def _is_held(name: str, store: LayerStore[S]) -> bool:
    """Graph drivers save plain layers, whose blob is named by the diff_id."""
    blob = _BLOB.fullmatch(name)
    return blob is not None and store.find(Digest(blob["hex"])) is not None


def _store(head: bytes, rest: BinaryIO, store: LayerStore[S], where: str) -> S:
    whole = cast("BinaryIO", _Joined(head, rest))
    media_type = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), LAYER_TAR)
    plain = _Digested(decompress(media_type, whole, where))
    stored = store.store(cast("BinaryIO", plain))
    if stored.diff_id != plain.finish():
        raise _refused("a layer was stored under another digest than it has", where)
    return stored


class _Joined(Reader):
    """The first bytes, which were looked at, and the rest."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    def next_chunk(self) -> bytes:
        """The next piece."""
        head, self._head = self._head, b""
        return head or self._rest.read(CHUNK_BYTES)


class _Digested(Reader):
    """A stream that knows its digest at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._hasher = hashlib.sha256()

    def next_chunk(self) -> bytes:
        """The next piece."""
        chunk = self._stream.read(CHUNK_BYTES)
        self._hasher.update(chunk)
        return chunk

    def finish(self) -> Digest:
        """Digest of all that was handed on, what the reader left over included."""
        while self.next_chunk():
            pass
        return Digest(self._hasher.hexdigest())


def _entries(saved: _Saved[S], names: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Entries of ``manifest.json`` for the names, in their order."""
    content = saved.documents.get(MANIFEST_JSON)
    if content is None:
        raise _refused("the saved archive has no manifest.json, or is cut off", saved.where)
    try:
        listed = json.loads(content)
        by_tag = {str(tag): entry for entry in listed for tag in entry.get("RepoTags") or ()}
        return [(name, by_tag[name]) for name in names] if names else [(_first(each), each) for each in listed]
    except (ValueError, TypeError, AttributeError) as error:
        raise _refused(f"manifest.json of the saved archive is not as expected: {error}", saved.where) from error
    except KeyError as error:
        raise _refused(f"the saved archive lacks the image {error.args[0]}", saved.where) from error


def _first(entry: dict[str, Any]) -> str:
    return str(next(iter(entry.get("RepoTags") or ()), ""))


def _assemble(named: tuple[str, dict[str, Any]], saved: _Saved[S], store: LayerStore[S]) -> ExportedImage[S]:
    name, entry = named
    config = saved.documents.get(str(entry.get("Config")))
    if config is None:
        raise _refused(f"the config of {name} is missing", saved.where)
    diff_ids = _diff_ids(config, name, saved.where)
    members = [str(member) for member in entry.get("Layers") or ()]
    if len(members) != len(diff_ids):
        raise _refused(f"{name} has {len(members)} layers and {len(diff_ids)} diff_ids", saved.where)
    layers = [_layer(*pair, saved, store) for pair in zip(members, diff_ids, strict=True)]
    return ExportedImage(name, config, tuple(layers))


def _diff_ids(config: bytes, name: str, where: str) -> list[Digest]:
    try:
        found = parse_object(config, f"config of {name}")["rootfs"].get("diff_ids") or []
        return [Digest.parse(each) for each in found]
    except (BundlerError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise _refused(f"the config of {name} is not as expected", where) from error


def _layer(member: str, diff_id: Digest, saved: _Saved[S], store: LayerStore[S]) -> S:
    target = saved.links.get(member, member)
    stored = saved.layers.get(target) or store.find(diff_id)
    if stored is None or (target not in saved.layers and target not in saved.skipped):
        raise _refused(f"the saved archive lacks the layer {diff_id}", saved.where)
    if stored.diff_id != diff_id:
        raise _refused(f"the saved archive gives {stored.diff_id} where the config names {diff_id}", saved.where)
    return stored


def _refused(what: str, where: str) -> EngineError:
    return EngineError(
        what, where=where, remedy="look whether the engine has space and into its log, then run the same command again"
    )
