"""An OCI image layout, as a directory or as a tar (``oci-archive``), as a source of images.

Sources: OCI image-spec ``image-layout.md``; ``annotations.md`` for the names in ``index.json``, and containerd's
``io.containerd.image.name``.
"""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, cast

from bundler.core.digest import Digest
from bundler.core.errors import EngineError, PreconditionError, RecipeError
from bundler.core.oci import INDEX, Descriptor, parse_object
from bundler.core.readers import CheckedReader
from bundler.core.reference import Reference
from bundler.core.registry import INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST_SIZE, FetchedManifest

_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class Layout:
    """The members of a layout; a context manager."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        self._archive: tarfile.TarFile | None = None
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            if not path.is_dir():
                self._archive = tarfile.open(path, mode="r:")  # noqa: SIM115 -- closed by __exit__
                self._members = {str(PurePosixPath(each.name)): each for each in self._archive if each.isreg()}
            self._read("oci-layout")
        except tarfile.TarError as error:
            raise self._refused(f"not an uncompressed tar: {error}") from error
        except OSError as error:
            what = f"the layout cannot be read: {error.strerror}"
            raise PreconditionError(what, where=self.where, remedy="correct `path:` in the recipe") from error

    def __enter__(self) -> Layout:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        if self._archive:
            self._archive.close()

    def index(self) -> dict[str, Any]:
        """``index.json``."""
        return parse_object(self._read("index.json"), self.where)

    def manifest(self, digest: Digest) -> FetchedManifest:
        """The manifest or index of that digest, checked."""
        content = self._read(_blob_name(digest))
        if Digest.of(content) != digest:
            raise self._refused(f"the blob {digest} has another digest")
        document = parse_object(content, self.where)
        return FetchedManifest(str(document.get("mediaType") or _kind_of(document)), digest, content)

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        """The blob as a stream that raises before its end if it is not the right one."""
        try:
            stream = self._open(_blob_name(blob.digest))
        except KeyError as error:
            raise self._refused(f"the blob {blob.digest} is missing") from error
        return cast("BinaryIO", CheckedReader(stream, blob.digest, blob.size, f"{self.where}, {blob.digest}"))

    def _read(self, name: str) -> bytes:
        try:
            with self._open(name) as stream:
                content = stream.read(MAX_MANIFEST_SIZE + 1)
        except KeyError as error:
            raise self._refused(f"{name} is missing") from error
        if len(content) > MAX_MANIFEST_SIZE:
            raise self._refused(f"{name} has more than {MAX_MANIFEST_SIZE} bytes")
        return content

    def _open(self, name: str) -> BinaryIO:
        """KeyError where there is no such member."""
        if self._archive:
            return cast("BinaryIO", self._archive.extractfile(self._members[name]))
        try:
            return (self._path / name).open("rb")
        except FileNotFoundError as error:
            raise KeyError(name) from error

    def _refused(self, what: str) -> EngineError:
        return EngineError(
            f"not a whole OCI layout: {what}", where=self.where, remedy="make it again, or take the image elsewhere"
        )


def chosen_descriptor(layout: Layout, reference: Reference) -> Descriptor:
    """The image of that name in ``index.json``; the only one, whatever its name, where there is one alone."""
    try:
        entries = [each for each in layout.index()["manifests"] if _is_image(each)]
        named = [each for each in entries if reference.without_digest() in _references(each, reference)]
        exact = [each for each in entries if reference.digest and each["digest"] == str(reference.digest)]
        chosen = exact or named or (entries if len(entries) == 1 else [])
        if chosen:
            return Descriptor(str(chosen[0]["mediaType"]), Digest.parse(chosen[0]["digest"]), int(chosen[0]["size"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"index.json is not as expected: {error}"
        raise EngineError(what, where=layout.where, remedy="make the layout again") from error
    names = ", ".join(sorted({name for each in entries for name in _annotated(each)})) or "none has a name"
    raise RecipeError(f"{reference.familiar} is not in the layout", where=layout.where, remedy=f"images there: {names}")


def _is_image(entry: dict[str, Any]) -> bool:
    """Attestations stand beside images with the platform unknown/unknown."""
    return (
        entry["mediaType"] in (*MANIFEST_TYPES, *INDEX_TYPES) and (entry.get("platform") or {}).get("os") != "unknown"
    )


def _annotated(entry: dict[str, Any]) -> list[str]:
    annotations = entry.get("annotations") or {}
    return [str(annotations[key]) for key in _NAMES if key in annotations]


def _references(entry: dict[str, Any], asked: Reference) -> list[Reference]:
    """What the entry is called; a bare word is the tag alone, as skopeo and umoci write it."""
    found = []
    for name in _annotated(entry):
        try:
            bare = not any(mark in name for mark in ":/@")
            found.append(Reference.parse(f"{asked.name}:{name}" if bare else name).tagged())
        except ValueError:
            continue
    return found


def _kind_of(document: dict[str, Any]) -> str:
    """OCI lets a document be without a mediaType; its members tell what it is."""
    return INDEX if "manifests" in document else MANIFEST_TYPES[0]


def _blob_name(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"
