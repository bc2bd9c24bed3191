"""An engine's image taken apart: its config without what is the engine's own, and its steps, each with its layer.

A step is an entry of the history together with the layer that it made, if it made one, so that the two stay in step
whatever is put below, taken out or replaced. Everything here is a value.

Source: OCI image-spec ``config.md``; moby ``image/spec`` for the Docker keys that every engine honours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bundler.builder.engine_build.values import PrivateParts
from bundler.core.digest import Digest
from bundler.core.errors import BuildError
from bundler.core.oci import Layer, parse_object

#: What of a config says how a container runs. The rest is about the engine that made it, or about its last container.
_CONFIG_KEYS = (
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "StopTimeout",
    "User",
    "Volumes",
    "WorkingDir",
)
_TOP_KEYS = ("architecture", "author", "os", "os.features", "os.version", "variant")
_HISTORY_KEYS = ("author", "comment", "created", "created_by", "empty_layer")
_NO_HISTORY = "made without a history"


@dataclass(frozen=True)
class Step:
    """An entry of the history, and the layer that it made (None: it made none)."""

    entry: Mapping[str, Any]
    layer: Layer | None

    @property
    def told(self) -> str:
        """The instruction, for messages."""
        return str(self.entry.get("created_by") or _NO_HISTORY)


@dataclass(frozen=True)
class Stack:
    """An image taken apart. ``document`` is its config without ``history``, ``rootfs`` and ``created``."""

    name: str
    document: Mapping[str, Any]
    steps: tuple[Step, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, from the lowest."""
        return tuple(step.layer for step in self.steps if step.layer is not None)

    @property
    def config(self) -> Mapping[str, Any]:
        """How a container of the image runs."""
        config: Mapping[str, Any] = self.document["config"]
        return config


def take_apart(name: str, config: bytes, layers: Sequence[Layer]) -> Stack:
    """The image ``name`` that an engine exported with ``layers``; raises BuildError where the two do not agree."""
    document = parse_object(config, f"config of {name}")
    rootfs = document.get("rootfs")
    stated = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if (stated or []) != [str(layer.diff_id) for layer in layers]:
        raise BuildError(
            "the exported layers are not those of the image's config", where=name, remedy="run the same command again"
        )
    inner = document.get("config")
    kept = {key: document[key] for key in _TOP_KEYS if document.get(key)}
    kept["config"] = {key: inner[key] for key in _CONFIG_KEYS if inner.get(key)} if isinstance(inner, dict) else {}
    return Stack(name, kept, _steps(document.get("history"), layers))


def _steps(history: object, layers: Sequence[Layer]) -> tuple[Step, ...]:
    entries = [_entry(item) for item in history if isinstance(item, dict)] if isinstance(history, list) else []
    if sum(not entry.get("empty_layer") for entry in entries) != len(layers):
        # An imported image, or one of a tool that writes no history: each layer is told of, no more is known.
        return tuple(Step({"created_by": _NO_HISTORY}, layer) for layer in layers)
    remaining = iter(layers)
    return tuple(Step(entry, None if entry.get("empty_layer") else next(remaining)) for entry in entries)


def _entry(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in _HISTORY_KEYS if item.get(key)}


def without_private(stack: Stack, private: PrivateParts) -> Stack:
    """``stack`` without what came in through private parents: layers, their history, and variables.

    A variable that the image's own Dockerfile set to something else stays.
    """
    places, diff_ids = set(private.history), set(private.diff_ids)
    steps = tuple(
        step
        for place, step in enumerate(stack.steps)
        if not (step.layer.diff_id in diff_ids if step.layer else place in places)
    )
    env = [str(item) for item in stack.config.get("Env") or ()]
    for variable in private.env:
        line = f"{variable.name}={variable.value}"
        original = [] if variable.original is None else [f"{variable.name}={variable.original}"]
        env = [kept for item in env for kept in (original if item == line else [item])]
    config = {key: value for key, value in stack.config.items() if key != "Env"}
    return Stack(stack.name, {**stack.document, "config": {**config, **({"Env": env} if env else {})}}, steps)


def with_layers(stack: Stack, replaced: Mapping[Digest, Layer]) -> Stack:
    """``stack`` with other layers in the place of those whose diff_ids are given."""
    steps = (
        replace(step, layer=replaced.get(step.layer.diff_id, step.layer)) if step.layer else step
        for step in stack.steps
    )
    return replace(stack, steps=tuple(steps))


def of_kind(steps: Iterable[Step], kind: str) -> tuple[Step, ...]:
    """The steps with their layers marked as ``kind``."""
    return tuple(replace(step, layer=replace(step.layer, kind=kind)) if step.layer else step for step in steps)


def own_steps(app: Stack, base: Stack) -> tuple[Step, ...]:
    """What ``app`` adds to ``base``; raises BuildError where it does not stand on it."""
    count = len(base.layers)
    below = [layer.diff_id for layer in base.layers]
    if [layer.diff_id for layer in app.layers[:count]] != below:
        raise BuildError(
            "its final stage is not FROM the base image: its layers do not begin with the base's",
            where=app.name,
            remedy=f"let the last stage (or `target:`) begin with FROM {base.name}, and COPY --from other stages",
        )
    steps, shared = app.steps, len(base.steps)
    if [step.layer.diff_id for step in steps[:shared] if step.layer] == below:
        return steps[shared:]
    places = [place for place, step in enumerate(steps) if step.layer]
    return steps[places[count - 1] + 1 :] if count else steps
