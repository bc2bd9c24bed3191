"""The programs that an application's layers bring into its image: the application's own, not installed packages."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from bundler.builder.compose import DEFAULTS
from bundler.builder.engine_part import EnginePart
from bundler.builder.layer_scan import OPAQUE, Parts, parts_of
from bundler.builder.recipe import Recipe
from bundler.builder.source_policy.environment import Surroundings
from bundler.builder.source_policy.findings import Finding
from bundler.builder.source_policy.lint import lint_sources
from bundler.builder.source_policy.of_recipe import require_none
from bundler.builder.source_policy.shell import scripts_called
from bundler.builder.source_policy.shell_words import ShellCommand
from bundler.builder.source_policy.sources import MOST_BYTES, SKIPPED, Source, kind_of
from bundler.builder.stack import Stack, own_steps
from bundler.builder.staged_blobs import StagedBlob
from bundler.core.errors import BuildError
from bundler.core.progress import ObservedReader, Progress, Task
from bundler.core.quiet_environment import QUIET
from bundler.core.readers import decompress

_WHITEOUT = ".wh."
_ENVIRONMENT = "pyvenv.cfg"
# The operating system's. What is the application's below them stands in _OWN.
_SYSTEM = frozenset(
    ["bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr", "var"]
)
_OWN = (
    ("usr", "src"),
    ("usr", "local", "bin"),
    ("usr", "local", "sbin"),
    ("usr", "local", "app"),
    ("var", "task"),
    ("var", "www"),
)


@dataclass
class _Tree:
    """The files of an image's own layers, the later ones over the earlier ones."""

    files: dict[Parts, Source] = field(default_factory=dict)
    environments: set[Parts] = field(default_factory=set)

    def remove(self, path: Parts) -> None:
        """What a whiteout or another file takes away."""
        for known in [each for each in self.files if each[: len(path)] == path]:
            del self.files[known]


def require_clean_images(recipe: Recipe, part: EnginePart, progress: Progress) -> None:
    """Raise CheckError with everything in the applications' own files that would call out when they run."""
    added = [
        [part.packed[step.layer.diff_id] for step in own_steps(app, part.base) if step.layer is not None]
        for app in part.apps
    ]
    size = sum(blob.compressed.uncompressed_size for blobs in added for blob in blobs)
    found: list[Finding] = []
    with progress.task("look into the applications' programs", size) as task:
        for app, blobs in zip(part.apps, added):
            sources = sources_in(app.name, _plain(blobs, task))
            found += lint_sources(sources, surroundings_of(recipe, app)).findings
    require_none(found, ", ".join(app.name for app in part.apps))


def _plain(blobs: Iterable[StagedBlob], task: Task) -> Iterator[BinaryIO]:
    """The plain layers, one open at a time."""
    for blob in blobs:
        with decompress(blob.compressed.blob.media_type, blob.path.open("rb"), str(blob.path)) as stream:
            yield cast("BinaryIO", ObservedReader(stream, task))


def sources_in(image: str, layers: Iterable[BinaryIO]) -> tuple[Source, ...]:
    """The programs in plain layers, from the lowest; ``IMAGE:/path`` is what findings call them."""
    tree = _Tree()
    for stream in layers:
        _read(tree, image, stream)
    return tuple(
        source
        for path, source in sorted(tree.files.items())
        if not any(path[: len(root)] == root for root in tree.environments)
    )


def surroundings_of(recipe: Recipe, app: Stack) -> Surroundings:
    """What the finished image says: its variables, where its models are, what it starts."""
    stated = dict(str(each).partition("=")[::2] for each in app.config.get("Env") or ())
    start = [str(word) for key in ("Entrypoint", "Cmd") for word in app.config.get(key) or ()]
    scripts = frozenset(scripts_called([ShellCommand(tuple(start), 1, 1)]))
    variables: Mapping[str, str] = {**DEFAULTS, **stated, **recipe.environment, **QUIET}
    return Surroundings(variables, tuple(str(model.path) for model in recipe.models), scripts)


def _read(tree: _Tree, image: str, stream: BinaryIO) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _take(tree, image, archive, member)
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep every entry in memory
    except (tarfile.TarError, ValueError, EOFError) as error:
        remedy = "run the same command again; the engine's store may be damaged"
        raise BuildError(f"a layer cannot be read: {error}", where=image, remedy=remedy) from error
    while stream.read(1 << 20):
        pass


def _take(tree: _Tree, image: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = parts_of(member.name)
    last = path[-1] if path else ""
    if last == OPAQUE:
        tree.remove(path[:-1])
    elif last.startswith(_WHITEOUT):
        tree.remove((*path[:-1], last[len(_WHITEOUT) :]))
    elif last == _ENVIRONMENT:
        tree.environments.add(path[:-1])
    elif not member.isdir():
        tree.remove(path)
        if member.isreg() and is_own(path):
            tree.files.update(_source(path, image, archive, member))


def _source(
    path: Parts, image: str, archive: tarfile.TarFile, member: tarfile.TarInfo
) -> Iterator[tuple[Parts, Source]]:
    name = f"{image}:/{'/'.join(path)}"
    opened = archive.extractfile(member)
    if opened is None:
        return
    head = opened.read(256)
    kind = kind_of(name, head)
    if kind not in ("python", "shell"):
        return
    if member.size > MOST_BYTES:
        yield path, Source(name, kind, fault=f"larger than {MOST_BYTES >> 20} MiB")
    else:
        yield path, Source(name, kind, head + opened.read())


def is_own(path: Parts) -> bool:
    """Whether a file is the application's: not the operating system's, not an installed package's."""
    if SKIPPED.intersection(path):
        return False
    return path[0] not in _SYSTEM or any(path[: len(own)] == own for own in _OWN)
