"""``prepare:`` commands that compute something from the models, offline, and whose outputs become one derived layer.

Each runs in a container of its own over the OS image, with the models mounted read-only at their paths, without a
network, as the image's user unless the recipe says another. What it wrote at its output paths is kept below the
cache, by OS image, models and commands: unchanged, nothing is run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bundler.builder.engine_build.running import Task, finished_container
from bundler.builder.engine_build.values import BuiltImage
from bundler.builder.engine_build.workplace import temporary_folder
from bundler.builder.layer import DIRECTORY_MODE, FILE_MODE, ChangedFileError, Entry, layer_chunks
from bundler.builder.model_tree import ModelTree, model_entries
from bundler.builder.prepared_files import Collector
from bundler.builder.recipe import PrepareSpec
from bundler.builder.recipe_rules import relation_of
from bundler.core.atomic import write_atomic
from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.oci import canonical_json
from bundler.core.progress import Progress

_RECORD = "entries.json"


@dataclass(frozen=True)
class Prepared:
    """What the commands wrote: entries of the derived layer, sorted by name; ``ran`` is False if they were kept."""

    entries: tuple[Entry, ...]
    ran: bool


@dataclass(frozen=True)
class Preparation:
    """What to run, over what. ``env`` is set for every command, below its own; ``token`` marks the containers."""

    specs: tuple[PrepareSpec, ...]
    base: BuiltImage
    models: tuple[ModelTree, ...]
    env: Mapping[str, str]
    token: str

    @property
    def key(self) -> str:
        """What the outputs depend on, as 64 hexadecimal digits."""
        models = [[str(model.path), [[f.path, str(f.sha256)] for f in model.model_files]] for model in self.models]
        document = {
            "image": self.base.image_id,
            "models": sorted(models, key=str),
            "commands": [spec.model_dump(mode="json") for spec in self.specs],
            "env": dict(self.env),
        }
        return hashlib.sha256(canonical_json(document)).hexdigest()


def prepare(client: EngineClient, wanted: Preparation, cache: Path, progress: Progress) -> Prepared:
    """Run the commands, or take what an equal run left in ``cache``.

    Raises BuildError where a command fails or its outputs cannot travel, PreconditionError for a remote engine.
    """
    if not wanted.specs:
        return Prepared((), False)
    _require_apart(wanted)
    folder = cache / wanted.key
    kept = _read(folder)
    if kept is not None:
        progress.note("prepare: image, models and commands are unchanged, the outputs are kept")
        return Prepared(kept, False)
    _require_local(client)
    with temporary_folder(cache, "running-") as work:
        spool = work / "outputs"
        spool.mkdir()
        entries = _run_all(client, wanted, work, spool, progress)
        write_atomic(spool / _RECORD, canonical_json([_to_json(entry) for entry in entries]))
        if folder.exists():
            shutil.rmtree(folder)
        spool.rename(folder)
    return Prepared(tuple(_moved(entry, folder) for entry in entries), True)


def _run_all(
    client: EngineClient, wanted: Preparation, work: Path, spool: Path, progress: Progress
) -> tuple[Entry, ...]:
    for model in wanted.models:
        _require_whole(model, progress)
    mounts = {model.path: stage_tree(model, work / f"model-{number}") for number, model in enumerate(wanted.models)}
    entries: dict[str, Entry] = {}
    for spec in wanted.specs:
        progress.note(f"prepare {spec.name}: {' '.join(spec.run)}")
        task = Task(
            name=f"prepare {spec.name}",
            image=wanted.base.tag,
            command=spec.run,
            user=spec.user,
            env={**wanted.env, **spec.env},
            mounts=mounts,
        )
        with finished_container(client, task, wanted.token, progress) as container:
            found = Collector(client, container, task.name, spool).collect(spec.outputs)
        entries.update((entry.name, entry) for entry in found)
    return tuple(entries[name] for name in sorted(entries))


def _require_whole(model: ModelTree, progress: Progress) -> None:
    """Compare the model with its digests: the outputs are kept for it, and nobody could tell what they came from."""
    with progress.task(f"prepare: read model {model.name}", model.size) as task:
        try:
            for _ in layer_chunks(model_entries(model), task.advance):
                pass
        except ChangedFileError as error:
            error.discard()
            raise


def stage_tree(model: ModelTree, target: Path) -> Path:
    """The model as a directory to be mounted: hard links to the snapshot's files, readable by all, as in the image."""
    target.mkdir(parents=True)
    for name in model.directories:
        (target / name).mkdir(parents=True, exist_ok=True)
    for file in model.files:
        path = target / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.source, bytes):
            path.write_bytes(file.source)
        else:
            _link(file.source, path)
        if path.stat().st_mode & FILE_MODE != FILE_MODE:
            path.chmod(FILE_MODE)
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        folder.chmod(DIRECTORY_MODE)
    return target


@contextmanager
def staged_trees(models: Iterable[ModelTree], work: Path) -> Iterator[Mapping[str, Path]]:
    """Every model as a directory to be mounted, by its path in the image, for as long as the block runs."""
    with temporary_folder(work, "mounts-") as folder:
        yield {str(model.path): stage_tree(model, folder / f"model-{i}") for i, model in enumerate(models)}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # the snapshot lies on another file system
        shutil.copyfile(source, target)


def _require_apart(wanted: Preparation) -> None:
    for spec in wanted.specs:
        for output in spec.outputs:
            for model in wanted.models:
                relation = relation_of(output, model.path)
                if relation:
                    raise BuildError(
                        f"the output {output} is {relation} the model path {model.path}",
                        where=f"prepare {spec.name}",
                        remedy="write outputs to a path of their own",
                    )


def _require_local(client: EngineClient) -> None:
    if not client.address.startswith("unix:"):
        raise PreconditionError(
            "an engine on another machine does not see the models of this one, which `prepare:` mounts",
            where=client.address,
            remedy="build on the engine's machine, through its socket",
        )


def _moved(entry: Entry, folder: Path) -> Entry:
    return replace(entry, source=folder / entry.sha256.hex) if entry.sha256 else entry


def _to_json(entry: Entry) -> dict[str, Any]:
    owner = {"name": entry.name, "kind": entry.kind, "mode": entry.mode, "uid": entry.uid, "gid": entry.gid}
    digest = str(entry.sha256) if entry.sha256 else None
    return {**owner, "size": entry.size, "sha256": digest, "target": entry.target}


def _read(folder: Path) -> tuple[Entry, ...] | None:
    """The entries of an earlier run; None where there is none or a file is not what was recorded."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        listed = json.loads((folder / _RECORD).read_bytes())
        entries = tuple(_from_json(each, folder) for each in listed)
        if all(_is_whole(entry) for entry in entries):
            return entries
    return None


def _from_json(value: dict[str, Any], folder: Path) -> Entry:
    digest = Digest.parse(value.pop("sha256")) if value["sha256"] else value.pop("sha256")
    return Entry(**value, sha256=digest, source=folder / digest.hex if digest else b"")


def _is_whole(entry: Entry) -> bool:
    if not isinstance(entry.source, Path):
        return True
    with entry.source.open("rb") as stream:
        return Digest.of_stream(stream) == entry.sha256
