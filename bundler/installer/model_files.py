"""Model files as a created container shows them, compared with what the bundle locked: streamed, nothing is mounted."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Callable, Optional, cast

from bundler.core.bundle_manifest import BundledModel, ModelFile
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import CHANGED, EXTRA, MISSING, Difference, EngineError
from bundler.core.progress import Task
from bundler.installer.engine import Container
from bundler.installer.image_user import ImageUser


@dataclass(frozen=True)
class ModelDifference:
    """One difference; ``path`` is that in the container."""

    kind: Difference
    path: str
    what: str


@dataclass(frozen=True)
class _Seen:
    """A file's size in bytes and digest; no digest: not a regular file."""

    size: int
    sha256: Optional[Digest]


def compare_model(
    container: Container, model: BundledModel, task: Task, user: Optional[ImageUser] = None
) -> list[ModelDifference]:
    """All differences between the model's files in ``container`` and those of the bundle, by path.

    Where a ``user`` is given, what they may not read is one too.
    """
    root = container.stat(model.path)
    if root is None or root.kind != "directory":
        return [ModelDifference(MISSING, model.path, "the model's directory is missing or not a directory")]
    closed: list[ModelDifference] = []

    def judge(entry: tarfile.TarInfo) -> None:
        if user is not None and not user.may_read(entry):
            path = f"{model.path}/{entry.name.partition('/')[2]}".rstrip("/")
            closed.append(ModelDifference(CHANGED, path, f"cannot be read by the image's user, {user.told}"))

    with container.archive(model.path) as stream:
        seen = dict(_seen_files(stream, model.path, task, judge))
    expected = {file.path: file for file in model.files}
    found = [_compare(f"{model.path}/{path}", expected.get(path), seen.get(path)) for path in expected.keys() | seen]
    return sorted([*(item for item in found if item), *closed], key=lambda item: item.path)


def _compare(path: str, expected: Optional[ModelFile], seen: Optional[_Seen]) -> Optional[ModelDifference]:
    if expected is None:
        return ModelDifference(EXTRA, path, "is not a file of the model")
    if seen is None:
        return ModelDifference(MISSING, path, "is missing")
    if seen.sha256 is None:
        return ModelDifference(CHANGED, path, "is not a regular file")
    if (seen.size, seen.sha256) != (expected.size, expected.sha256):
        what = f"sha256 {seen.sha256.hex}, {seen.size} bytes; should be {expected.sha256.hex}, {expected.size} bytes"
        return ModelDifference(CHANGED, path, what)
    return None


def _seen_files(
    stream: BinaryIO, where: str, task: Task, judge: Callable[[tarfile.TarInfo], None]
) -> Iterator[tuple[str, _Seen]]:
    """Everything below the model's directory that is not a directory, by its path below it; ``judge`` sees all."""
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:
            for entry in archive:
                judge(entry)
                _, _, path = entry.name.rstrip("/").partition("/")
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is not None:
                    yield path, _Seen(entry.size, Digest.of_stream(cast("BinaryIO", content)))
                    task.advance(entry.size)
                elif path and not entry.isdir():
                    yield path, _Seen(0, None)
    except (tarfile.TarError, OSError) as error:
        raise EngineError(
            f"the engine's archive of the model cannot be read: {error}",
            where=where,
            remedy="look into the engine's log: its store may be damaged",
        ) from error
