"""What layers above a model would do to it: found by name, all of it, before anything is composed.

Models stand lowest, so everything that an operating system or an application puts at, above or below a model's path
changes or hides the model, without a word from any engine. Directories above a model are welcome, and decide about
owner and mode there. An opaque marker on one of them, or its whiteout, is dropped where it hides nothing of the image's
own lower layers: engines write these for a directory that is merely new (``rm -rf /app && mkdir /app``; graph drivers
an opaque marker, containerd a whiteout for each directory that the private parent brought).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bundler.builder.layer_scan import LayerScan, Parts, Touch, parts_of, related
from bundler.builder.reach import Folder, barrier, find_account
from bundler.builder.stack import Step
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, Problem

_MAX_PROBLEMS_A_LAYER = 20
_MAX_TOLD = 120


@dataclass(frozen=True)
class ModelPlace:
    """A model's name and its path in the image."""

    name: str
    path: PurePosixPath

    @property
    def parts(self) -> Parts:
        """The path's parts."""
        return parts_of(self.path)


@dataclass(frozen=True)
class ImageAbove:
    """What of an image stands above the models: its config (how a container runs) and its scanned steps."""

    name: str
    config: Mapping[str, Any]
    layers: tuple[tuple[Step, LayerScan], ...]


def require_models_whole(models: Sequence[ModelPlace], images: Iterable[ImageAbove]) -> dict[Digest, frozenset[str]]:
    """Raise BuildError with everything that would change or hide a model in one of the images.

    Returns the names of opaque markers and whiteouts to leave out, by the diff_id of the layer that holds them: give
    these to ``layer_filter.without_entries``.
    """
    problems: dict[Problem, None] = {}
    droppable: dict[Digest, frozenset[str]] = {}
    for image in images:
        hiding_nothing = _droppable(models, image)
        droppable.update(hiding_nothing)
        problems.update(dict.fromkeys(_layer_problems(models, image, hiding_nothing)))
        problems.update(dict.fromkeys(_volume_problems(models, image)))
        problems.update(dict.fromkeys(_reach_problems(models, image)))
    if problems:
        raise BuildError(
            "the images would change or hide their models",
            where=", ".join(dict.fromkeys(model.name for model in models)),
            remedy="change these steps, or the models' paths in the recipe",
            problems=tuple(problems),
        )
    return droppable


def _droppable(models: Sequence[ModelPlace], image: ImageAbove) -> dict[Digest, frozenset[str]]:
    """Opaque markers and whiteouts above models that hide nothing of the image's own lower layers."""
    filled: set[Parts] = set()
    found: dict[Digest, frozenset[str]] = {}
    for step, scan in image.layers:
        names = frozenset(
            touch.name for touch in scan.touches if touch.path not in filled and _may_be_dropped(touch, models)
        )
        if names and step.layer is not None:
            found[step.layer.diff_id] = names
        filled |= scan.filled
    return found


def _may_be_dropped(touch: Touch, models: Sequence[ModelPlace]) -> bool:
    if touch.kind == "opaque marker":
        return not any(_is_below(touch.path, model.parts) for model in models)
    return touch.kind == "whiteout" and not any(
        touch.path == model.parts or _is_below(touch.path, model.parts) for model in models
    )


def _layer_problems(
    models: Sequence[ModelPlace], image: ImageAbove, droppable: Mapping[Digest, frozenset[str]]
) -> Iterator[Problem]:
    for step, scan in image.layers:
        dropped = droppable.get(step.layer.diff_id, frozenset()) if step.layer else frozenset()
        where = f"{image.name}, {_shortened(step.told)}"
        found = [
            Problem(where, what, remedy)
            for touch in scan.touches
            if touch.name not in dropped
            for model in models
            for what, remedy in _judged(touch, model)
        ]
        yield from found[:_MAX_PROBLEMS_A_LAYER]
        if len(found) > _MAX_PROBLEMS_A_LAYER:
            yield Problem(where, f"and {len(found) - _MAX_PROBLEMS_A_LAYER} more of the kind", found[-1].remedy)


def _judged(touch: Touch, model: ModelPlace) -> Iterator[tuple[str, str]]:
    """What is wrong with an entry for a model, if anything, and what would be right."""
    path, shown = model.parts, "/" + "/".join(touch.path)
    told = f"the model {model.name} at {model.path}"
    if not related(touch.path, path):
        return
    if touch.kind == "whiteout":
        yield f"removes {shown}, and with it {told}", "remove only what this image brought"
    elif touch.kind == "opaque marker":
        remedy = f"do not remove and make {shown} anew: create it once, and remove single files"
        yield f"replaces the directory {shown}, which hides {told}", remedy
    elif _is_below(touch.path, path):
        yield f"puts the {touch.kind} {shown} into {told}", "put it elsewhere: a model is exactly its locked files"
    elif touch.kind == "symlink":
        remedy = f"let {shown} be a directory, or give the model a path below {touch.target}"
        yield f"makes {shown} a link to {touch.target}, which hides {told}", remedy
    elif touch.kind != "directory":
        yield f"puts a {touch.kind} at {shown}, which hides {told}", f"let {shown} be a directory"


def _is_below(path: Parts, other: Parts) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _volume_problems(models: Sequence[ModelPlace], image: ImageAbove) -> Iterator[Problem]:
    volumes = image.config.get("Volumes") or {}
    for volume in sorted(str(each) for each in volumes):
        for model in models:
            if related(parts_of(volume), model.parts):
                yield Problem(
                    f"{image.name}, VOLUME {volume}",
                    f"an engine would copy or hide the model {model.name} at {model.path}",
                    "declare no volume at, above or below a model; mount one elsewhere",
                )


def _reach_problems(models: Sequence[ModelPlace], image: ImageAbove) -> Iterator[Problem]:
    user = str(image.config.get("User") or "")
    accounts: dict[str, str] = {}
    folders: dict[Parts, Folder] = {}
    for _, scan in image.layers:
        accounts.update(scan.accounts or {})
        folders.update(
            (touch.path, Folder(touch.mode, touch.uid, touch.gid))
            for touch in scan.touches
            if touch.kind == "directory"
        )
    account = find_account(user, accounts)
    if account is None:
        remedy = "create the user in the Dockerfile, or give numbers"
        yield Problem(f"{image.name}, USER {user}", "the image has no such user or group", remedy)
        return
    for model in models:
        stop = barrier(account, model.parts, folders)
        if stop is not None:
            shown, folder = "/" + "/".join(stop[0]), stop[1]
            yield Problem(
                f"{image.name}, USER {user}",
                f"cannot reach the model {model.name} at {model.path}: {shown} has mode {folder.mode & 0o7777:04o} "
                f"and owner {folder.uid}:{folder.gid}",
                f"give {shown} mode 0755, or owner and group of the user",
            )


def _shortened(told: str) -> str:
    line = " ".join(told.split())
    return line if len(line) <= _MAX_TOLD else f"{line[:_MAX_TOLD]}…"
