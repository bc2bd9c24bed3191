"""Opening a bundle: the one way from bytes on a medium to a ``VerifiedBundle``.

``open_bundle`` checks everything that decides: the kit's small files against its sums, the head against the tar, the
tar's form, its list of members, and ``bundle.json`` against every manifest and config. A ``VerifiedBundle`` gives out
layers and files through readers that check digest, diff_id and size on the way, so bytes that nobody checked cannot
be had from it. ``verify``, ``install`` and the build's self-check all come through here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Optional, Protocol, cast

from bundler.core.bundle_manifest import (
    BundledImage,
    BundleManifest,
    PayloadFile,
    parse_bundle_manifest,
    require_known_format,
)
from bundler.core.checksums import parse_sums
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import EXTRA, MISSING, BundleError, Difference, PreconditionError
from bundler.core.kit import Kit, TrustPolicy, audit_kit_files, locate_kit, remedy_of
from bundler.core.layout import (
    BUNDLE_JSON,
    HEAD,
    HEAD_MEMBERS,
    INDEX_JSON,
    MANIFEST_JSON,
    MEMBERS,
    METADATA,
    OCI_LAYOUT,
    blob_name,
    member_order,
    payload_name,
    render_docker_manifest,
    render_index,
    render_oci_layout,
)
from bundler.core.oci import MANIFEST, Image, Layer, parse_object, render_plain_manifest
from bundler.core.readers import CheckedReader, Observer, Section, open_plain, open_stored
from bundler.core.tarball import Member, read_members

MAX_METADATA_SIZE = 64 << 20
MAX_CONFIG_SIZE = 8 << 20
_REMEDY = "the bundle is damaged or was not made by bundler: bring it here again"


class Members(Protocol):
    """Where a bundle's bytes come from: one tar today; parts on several media or a delta over a base later."""

    def names(self) -> Sequence[str]:
        """All members, in their order."""

    def size(self, name: str) -> int:
        """Bytes of a member."""

    def open(self, name: str) -> BinaryIO:
        """A member's content, unchecked."""


class TarMembers:
    """The members of one tar file; ``observer`` hears of every piece of content that is read."""

    def __init__(self, path: Path, observer: Optional[Observer] = None) -> None:
        self._path = path
        self._observer = observer
        try:
            with path.open("rb") as stream:
                self._members: dict[str, Member] = {item.name: item for item in read_members(stream, path.name)}
        except OSError as error:
            raise PreconditionError(
                f"cannot be read: {error.strerror}", where=str(path), remedy="check permissions and the medium"
            ) from error

    def names(self) -> Sequence[str]:
        """All members, in their order."""
        return tuple(self._members)

    def size(self, name: str) -> int:
        """Bytes of a member."""
        return self._members[name].size

    def open(self, name: str) -> BinaryIO:
        """A member's content, unchecked."""
        member = self._members[name]
        return cast("BinaryIO", Section(self._path, member.offset, member.size, self._observer))


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle whose metadata agree with each other and, in a kit, with its sums. Made by ``open_bundle`` alone."""

    kit: Kit
    manifest: BundleManifest
    manifest_bytes: bytes
    images: tuple[Image, ...]
    members: Members

    def open_plain_layer(self, layer: Layer) -> BinaryIO:
        """The layer's uncompressed tar, checked against blob digest, diff_id and both sizes before its last byte."""
        name = blob_name(layer.blob.digest)
        return open_plain(layer, self.members.open(name), self._where(name))

    def open_stored_layer(self, layer: Layer) -> BinaryIO:
        """The layer's blob as it stands in the tar, checked in the same way."""
        name = blob_name(layer.blob.digest)
        return open_stored(layer, self.members.open(name), self._where(name))

    def open_payload(self, file: PayloadFile) -> BinaryIO:
        """A payload file, checked against digest and size before its last byte."""
        name = payload_name(file.path)
        return cast("BinaryIO", CheckedReader(self.members.open(name), file.sha256, file.size, self._where(name)))

    def _where(self, name: str) -> str:
        return f"{self.kit.tar.name}, {name}"


def open_bundle(path: Path, policy: TrustPolicy) -> VerifiedBundle:
    """Open the kit or the bare tar at ``path``.

    Raises BundleError (with all problems of the kit's files at once), SignatureError, or PreconditionError where
    something is missing or cannot be read.
    """
    kit = locate_kit(path, policy)
    if problems := audit_kit_files(kit):
        raise BundleError(
            "the kit's files are not as its SHA256SUMS says",
            where=str(path),
            remedy=remedy_of(problems),
            problems=problems,
        )
    require_known_head(kit)
    return open_members(kit, TarMembers(kit.tar))


def require_known_head(kit: Kit) -> None:
    """Raise BundleError where the kit's head says another format: its tar may have another form, and be whole."""
    content = _head_copy(kit, BUNDLE_JSON)
    if content is not None:
        require_known_format(content, f"{HEAD}/{BUNDLE_JSON}")


def _head_copy(kit: Kit, name: str) -> Optional[bytes]:
    """What stands in the kit's head; None where nothing does, which ``audit_kit_files`` tells."""
    copy = kit.directory / HEAD / name if kit.directory else None
    if copy is None or not copy.is_file():
        return None
    try:
        _require(
            copy.stat().st_size <= MAX_METADATA_SIZE, kit, f"{HEAD}/{name} is larger than {MAX_METADATA_SIZE} bytes"
        )
        return copy.read_bytes()
    except OSError as error:
        raise PreconditionError(
            f"cannot be read: {error.strerror}", where=str(copy), remedy="check permissions and the medium"
        ) from error


def open_members(kit: Kit, members: Members) -> VerifiedBundle:
    """The bundle that ``members`` hold; the kit's own files were looked at before."""
    sums = _read_member_list(kit, members)
    metadata = {name: _read_checked(kit, members, name, sums[name], MAX_METADATA_SIZE) for name in METADATA}
    _require_same_head(kit, members, metadata)
    manifest = parse_bundle_manifest(metadata[BUNDLE_JSON], f"{kit.tar.name}, {BUNDLE_JSON}")
    _require(
        tuple(members.names()) == member_order(manifest),
        kit,
        "its members, or their order, are not those of bundle.json",
    )
    _require_member_sums(kit, members, manifest, sums)
    images = tuple(_read_image(kit, members, entry, manifest.platform) for entry in manifest.images)
    _require_consistent_layers(kit, manifest)
    expected = {
        INDEX_JSON: render_index(images),
        MANIFEST_JSON: render_docker_manifest(images),
        OCI_LAYOUT: render_oci_layout(),
    }
    for name, content in expected.items():
        _require(metadata[name] == content, kit, f"{name} does not name the images of bundle.json")
    return VerifiedBundle(kit, manifest, metadata[BUNDLE_JSON], images, members)


def _require(condition: bool, kit: Kit, what: str, difference: Optional[Difference] = None) -> None:
    if not condition:
        raise BundleError(what, where=kit.tar.name, remedy=_REMEDY, difference=difference)


def _read_member_list(kit: Kit, members: Members) -> dict[str, Digest]:
    names = members.names()
    _require(bool(names) and names[-1] == MEMBERS, kit, "not a bundle: its last member is not MEMBERS")
    sums = parse_sums(_read_bounded(kit, members, MEMBERS, MAX_METADATA_SIZE), f"{kit.tar.name}, {MEMBERS}")
    listed, standing = set(sums), set(names[:-1])
    missing, extra = ", ".join(sorted(listed - standing)), ", ".join(sorted(standing - listed))
    _require(not missing, kit, f"members are missing: {missing}", MISSING)
    _require(not extra, kit, f"members that MEMBERS does not list: {extra}", EXTRA)
    _require(tuple(sums) == tuple(names[:-1]), kit, "MEMBERS lists the members in another order")
    _require(set(METADATA) <= standing, kit, "not a bundle: it lacks bundle.json or one of the indexes", MISSING)
    return sums


def _read_bounded(kit: Kit, members: Members, name: str, bound: int) -> bytes:
    _require(members.size(name) <= bound, kit, f"{name} is larger than {bound} bytes")
    with members.open(name) as stream:
        return b"".join(iter(lambda: stream.read(CHUNK_BYTES), b""))


def _read_checked(kit: Kit, members: Members, name: str, digest: Digest, bound: int) -> bytes:
    content = _read_bounded(kit, members, name, bound)
    _require(Digest.of(content) == digest, kit, f"{name} was changed: its digest is not the one that names it")
    return content


def _require_same_head(kit: Kit, members: Members, metadata: Mapping[str, bytes]) -> None:
    for name in HEAD_MEMBERS:
        copy = _head_copy(kit, name)
        if copy is not None:
            content = metadata.get(name) or _read_bounded(kit, members, name, MAX_METADATA_SIZE)
            _require(copy == content, kit, f"{HEAD}/{name} differs from the tar's {name}")


def _require_member_sums(kit: Kit, members: Members, manifest: BundleManifest, sums: Mapping[str, Digest]) -> None:
    """Names, sums and sizes of blobs and payload files agree, before a byte of them is read."""
    for image in manifest.images:
        for digest in (*(layer.blob.digest for layer in image.layers), image.image_id, image.manifest_digest):
            _require(sums[blob_name(digest)] == digest, kit, f"{blob_name(digest)} has another digest in MEMBERS")
        for layer in image.layers:
            name = blob_name(layer.blob.digest)
            _require(members.size(name) == layer.blob.size, kit, f"{name} is not of the size in bundle.json")
    for file in manifest.files:
        name = payload_name(file.path)
        agree = sums[name] == file.sha256 and members.size(name) == file.size
        _require(agree, kit, f"{name} is not as bundle.json says")


def _read_image(kit: Kit, members: Members, entry: BundledImage, platform: str) -> Image:
    config = _read_checked(kit, members, blob_name(entry.image_id), entry.image_id, MAX_CONFIG_SIZE)
    manifest = _read_checked(kit, members, blob_name(entry.manifest_digest), entry.manifest_digest, MAX_CONFIG_SIZE)
    image = Image(entry.reference, config, manifest, entry.layers)
    where = f"{kit.tar.name}, image {entry.reference}"
    document = parse_object(config, where)
    rootfs = document.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    _require(
        diff_ids == [str(diff_id) for diff_id in image.diff_ids],
        kit,
        f"the diff_ids of {entry.reference} differ from its config",
    )
    _require(image.platform == platform, kit, f"{entry.reference} is for {image.platform}, the bundle for {platform}")
    _require_manifest(kit, entry, parse_object(manifest, where), len(config))
    plain = Digest.of(render_plain_manifest(config, entry.layers))
    _require(plain == entry.plain_manifest_digest, kit, f"the plain manifest of {entry.reference} has another digest")
    return image


def _require_manifest(kit: Kit, entry: BundledImage, document: Mapping[str, Any], config_size: int) -> None:
    config = document.get("config")
    agrees = isinstance(config, dict) and isinstance(config.get("mediaType"), str)
    media_type = document.get("mediaType", MANIFEST)
    _require(_is_media_type(media_type), kit, f"the manifest of {entry.reference} has no proper media type")
    agrees = agrees and config.get("digest") == str(entry.image_id) and config.get("size") == config_size  # type: ignore[union-attr]
    _require(agrees, kit, f"the manifest of {entry.reference} names another config")
    layers = document.get("layers")
    stated = [_blob_of(item) for item in layers] if isinstance(layers, list) else None
    expected = [layer.blob.to_json() for layer in entry.layers]
    _require(stated == expected, kit, f"the manifest of {entry.reference} names other layers than bundle.json")


def _is_media_type(value: object) -> bool:
    """RFC 6838, 4.2; what else a manifest says of itself would end up in the indexes."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+", value) is not None


def _blob_of(item: object) -> dict[str, Any]:
    return {key: item.get(key) for key in ("mediaType", "digest", "size")} if isinstance(item, dict) else {}


def _require_consistent_layers(kit: Kit, manifest: BundleManifest) -> None:
    """A blob means the same wherever it stands, no two images share a name, and model layers name their models."""
    meanings: dict[Digest, tuple[Digest, int, int]] = {}
    for image in manifest.images:
        for layer in image.layers:
            meaning = (layer.diff_id, layer.uncompressed_size, layer.blob.size)
            known = meanings.setdefault(layer.blob.digest, meaning)
            _require(known == meaning, kit, f"blob {layer.blob.digest} is described in two ways")
        named = all((layer.kind == "model") == (layer.model is not None) for layer in image.layers)
        stated = tuple(layer.model for layer in image.layers if layer.model is not None)
        agree = named and stated == image.models
        _require(agree, kit, f"the model layers of {image.reference} are not those of its models")
    references = [image.reference for image in manifest.images]
    _require(len(set(references)) == len(references), kit, "two images have the same name")
    models = [model.name for model in manifest.models]
    carried = {name for image in manifest.images for name in image.models}
    _require(len(set(models)) == len(models), kit, "two models have the same name")
    _require(carried == set(models), kit, "it describes a model that no image holds")
    paths = {file.path for file in manifest.files}
    for file in manifest.files:
        for parent in PurePosixPath(file.path).parents:
            _require(str(parent) not in paths, kit, f"payload file {file.path} lies below {parent}, which is a file")
    checked = {check.image for check in manifest.checks}
    _require(checked <= set(references), kit, "a check names an image that the bundle does not hold")
