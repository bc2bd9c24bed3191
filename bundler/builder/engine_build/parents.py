"""Private parents: an image plus what only the build needs, under a tag that only this build knows.

The skeleton holds the directories above the models where the image lacks them, so that an ordinary ``WORKDIR /app``
makes no new directory, which some stores write down as an opaque one that hides the models below. Made by the same
builder that builds the rest, from a Dockerfile of three lines.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from bundler.builder.dockerfile import SCRATCH
from bundler.builder.engine_build.ca import VARIABLES
from bundler.builder.engine_build.looking import (
    created_container,
    find_image,
    history_length,
    missing_directories,
    require_image,
)
from bundler.builder.engine_build.values import PRIVATE_DIRECTORY, BuilderJob, BuiltImage, PrivateParts, PrivateVariable
from bundler.builder.engine_build.workplace import temporary_folder
from bundler.core.docker_api import EngineClient
from bundler.core.progress import Progress, SilentProgress

_ARCHIVE = "private.tar"


class Builder(Protocol):
    """One of the two builders."""

    def build(self, job: BuilderJob, progress: Progress) -> None:
        """Build the job's image under its tag."""


def model_parents(paths: Iterable[PurePosixPath]) -> tuple[PurePosixPath, ...]:
    """All directories above the paths, without the root, sorted."""
    found = {parent for path in paths for parent in path.parents}
    return tuple(sorted(found - {PurePosixPath("/")}))


class ParentMaker:
    """Makes private parents with ``builder``; ``files`` are what the private directory gets (none: no CA)."""

    def __init__(
        self, client: EngineClient, builder: Builder, files: Mapping[str, bytes], platform: str, work: Path
    ) -> None:
        self._client = client
        self._builder = builder
        self._files = files
        self._platform = platform
        self._work = work

    def make(
        self, image: BuiltImage | None, directories: tuple[PurePosixPath, ...], tag: str, token: str
    ) -> BuiltImage | None:
        """``image`` (None: scratch) with the directories and files that it lacks; itself where it lacks none."""
        skeleton = self._missing(image, directories, token)
        files = {} if image and image.private.env else self._files
        if not skeleton and not files:
            return image
        variables = VARIABLES if files else {}
        self._build(image, _render_archive(skeleton, files), variables, tag)
        return self._described(image, tag, variables)

    def _missing(
        self, image: BuiltImage | None, directories: tuple[PurePosixPath, ...], token: str
    ) -> list[PurePosixPath]:
        if image is None or not directories:
            return list(directories)
        with created_container(self._client, image.tag, token) as container:
            return missing_directories(self._client, container, directories)

    def _build(self, image: BuiltImage | None, archive: bytes, variables: Mapping[str, str], tag: str) -> None:
        lines = [f"FROM {image.tag if image else SCRATCH}", f"ADD {_ARCHIVE} /"]
        if variables:
            lines.append("ENV " + " ".join(f'{name}="{value}"' for name, value in variables.items()))
        with temporary_folder(self._work, "parent-") as folder:
            (folder / _ARCHIVE).write_bytes(archive)
            (folder / _ARCHIVE).chmod(0o644)  # builders know their steps by the modes of files too
            job = BuilderJob(
                label=f"the private parent {tag}",
                dockerfile_name="Dockerfile",
                dockerfile="\n".join(lines) + "\n",
                context=folder,
                files=(_ARCHIVE,),
                extra={},
                args={},
                target=None,
                platform=self._platform,
                tag=tag,
            )
            self._builder.build(job, SilentProgress())

    def _described(self, image: BuiltImage | None, tag: str, variables: Mapping[str, str]) -> BuiltImage:
        made = require_image(self._client, tag)
        inherited = image.private if image else PrivateParts()
        before = len(image.diff_ids) if image else 0
        original = find_image(self._client, image.tag) if image else None
        env = original.env if original else {}
        entries = history_length(self._client, tag)
        steps = 2 if variables else 1
        added = PrivateParts(
            diff_ids=made.diff_ids[before:],
            history=tuple(range(entries - steps, entries)),
            env=tuple(PrivateVariable(name, value, env.get(name)) for name, value in variables.items()),
        )
        return BuiltImage(tag, made.id, made.diff_ids, inherited + added)


def _render_archive(skeleton: list[PurePosixPath], files: Mapping[str, bytes]) -> bytes:
    """A tar of the directories and files, equal for equal content, so that builders find it in their cache."""
    directories = [str(path).lstrip("/") for path in skeleton]
    directories += [str(PRIVATE_DIRECTORY).lstrip("/")] if files else []
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in directories:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o644, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
