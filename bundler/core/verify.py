"""``verify``: every byte of a kit, all problems reported, nothing changed.

The kit's files against its sums, the bundle's structure, every layer against its blob digest and diff_id, every model
file inside its layer against ``bundle.json``, every payload file, and the whole tar against the kit's sum.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Optional

from bundler.core.bundle import TarMembers, VerifiedBundle, open_members, require_known_head
from bundler.core.bundle_manifest import BundledModel
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import CHANGED, EXTRA, MISSING, BundleError, PreconditionError, Problem
from bundler.core.kit import TrustPolicy, audit_kit_files, locate_kit
from bundler.core.layer_files import file_digests
from bundler.core.oci import Layer
from bundler.core.progress import Progress, Task

_REMEDY = "bring the bundle here again"


@dataclass(frozen=True)
class VerifyReport:
    """What ``verify`` found: ``problems`` is empty for a whole bundle; sizes are bytes read.

    ``tar_sum`` is the digest of the whole tar as it was read, None where the medium did not give all of it.
    """

    path: Path
    title: str
    signed: bool
    members: int
    read_size: int
    tar_sum: Optional[Digest]
    problems: tuple[Problem, ...]


def verify_kit(path: Path, policy: TrustPolicy, progress: Progress) -> VerifyReport:
    """Read everything at ``path`` and report all problems.

    Raises PreconditionError, SignatureError or BundleError only where there is no kit to read; what is wrong with one
    that is there stands in the report.
    """
    kit = locate_kit(path, policy)
    progress.step("verify the kit's files")
    problems = audit_kit_files(kit)
    title, members = kit.tar.stem, 0
    with progress.task(kit.tar.name, _size_of(kit.tar)) as task:
        whole = _WholeTar(kit.tar, task)
        try:
            require_known_head(kit)
            bundle = open_members(kit, TarMembers(kit.tar, whole.passed))
        except (BundleError, PreconditionError) as error:
            problems += error.as_problems()
        else:
            title, members = bundle.manifest.title, len(bundle.members.names())
            problems += _content_problems(bundle, whole)
        tar_sum = whole.finish()
    problems += whole.problems
    if tar_sum is not None and kit.tar_sum not in (None, tar_sum):
        problems.append(Problem(kit.tar.name, "changed: its digest is not the one in SHA256SUMS", _REMEDY, CHANGED))
    return VerifyReport(path, title, False, members, whole.size, tar_sum, tuple(problems))


def _size_of(tar: Path) -> int:
    try:
        return tar.stat().st_size
    except OSError as error:
        raise PreconditionError(
            f"cannot be read: {error.strerror}", where=str(tar), remedy="check permissions and the medium"
        ) from error


class _WholeTar:
    """The digest of the tar, out of the same reading that checks its members.

    Layers and payload stand in the order in which they are checked, so their pieces come by in the order of the
    file; what nobody asked for (headers, padding, the small members) is read in between. A piece that comes out of
    order was read for itself and is read again in its turn.
    """

    def __init__(self, tar: Path, task: Task) -> None:
        self._tar = tar
        self._task = task
        self._hasher = hashlib.sha256()
        self._following = False
        self.problems: list[Problem] = []
        self.size = 0

    def follow(self) -> None:
        """From now on content is read in the order of the file."""
        self._following = True

    def passed(self, offset: int, chunk: bytes) -> None:
        """A piece was read at ``offset``."""
        if self._following and offset >= self.size:
            self._read_until(offset)
            self._take(chunk)

    def finish(self) -> Optional[Digest]:
        """Read what is left; the digest of the whole, None where some of it cannot be read."""
        self._read_until(None)
        return None if self.problems else Digest(self._hasher.hexdigest())

    def _read_until(self, offset: Optional[int]) -> None:
        if self.size == offset or self.problems:
            return
        try:
            with self._tar.open("rb") as stream:
                stream.seek(self.size)
                while chunk := stream.read(CHUNK_BYTES if offset is None else min(CHUNK_BYTES, offset - self.size)):
                    self._take(chunk)
        except OSError as error:
            where = f"{self._tar.name}, byte {self.size}"
            self.problems.append(Problem(where, f"cannot be read: {error.strerror}", "check the medium"))

    def _take(self, chunk: bytes) -> None:
        self._hasher.update(chunk)
        self.size += len(chunk)
        self._task.advance(len(chunk))


def _content_problems(bundle: VerifiedBundle, whole: _WholeTar) -> list[Problem]:
    """Read every layer and payload file once; the readers raise for what is wrong."""
    problems: list[Problem] = []
    whole.follow()
    for layer in _distinct_layers(bundle):
        try:
            _read_layer(bundle, layer)
        except BundleError as error:
            problems += error.as_problems()
    for file in bundle.manifest.files:
        try:
            with bundle.open_payload(file) as stream:
                _drain(stream)
        except BundleError as error:
            problems += error.as_problems()
    return problems


def _distinct_layers(bundle: VerifiedBundle) -> list[Layer]:
    """Each blob once; as a model layer where it is one anywhere."""
    layers: dict[Digest, Layer] = {}
    for image in bundle.images:
        for layer in image.layers:
            if layer.blob.digest not in layers or layer.model:
                layers[layer.blob.digest] = layer
    return list(layers.values())


def _read_layer(bundle: VerifiedBundle, layer: Layer) -> None:
    with bundle.open_plain_layer(layer) as plain:
        if layer.model is None:
            _drain(plain)
        else:
            _require_model_files(plain, bundle.manifest.model(layer.model), layer)


def _drain(stream: BinaryIO) -> None:
    while stream.read(CHUNK_BYTES):
        pass


def _require_model_files(plain: BinaryIO, model: BundledModel, layer: Layer) -> None:
    """The files of a model layer are those of ``bundle.json``: none missing, none extra, none other."""
    expected = {f"{model.path}/{file.path}".lstrip("/"): (file.size, file.sha256) for file in model.files}
    found: dict[str, tuple[int, Digest]] = {}
    where = f"model {model.name}, layer {layer.diff_id}"
    try:
        found.update(file_digests(plain))
    except (tarfile.TarError, ValueError) as error:
        raise BundleError(f"not a layer: {error}", where=where, remedy=_REMEDY) from error
    _drain(plain)
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    changed = sorted(name for name in set(found) & set(expected) if found[name] != expected[name])
    problems = [Problem(where, f"{name} is missing", _REMEDY, MISSING) for name in missing]
    problems += [Problem(where, f"{name} is not a file of the model", _REMEDY, EXTRA) for name in extra]
    problems += [Problem(where, f"{name} is not as bundle.json says", _REMEDY, CHANGED) for name in changed]
    if problems:
        raise BundleError("a model layer does not hold its model", where=where, remedy=_REMEDY, problems=problems)
