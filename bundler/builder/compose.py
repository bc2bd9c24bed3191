"""Images out of their parts: models lowest, then the operating system, what was derived from both, and the application.

Engines with graph drivers know a layer by all that is below it, so what never changes stands lowest. The engine's
config is kept where it says how a container runs; history, labels, environment and manifest are written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from bundler.builder.stack import Stack, Step, of_kind, own_steps
from bundler.core.errors import BuildError
from bundler.core.oci import Image, Layer, render_config, render_manifest
from bundler.core.quiet_environment import QUIET
from bundler.core.reference import Reference

#: What overlay2 mounts (``max depth exceeded`` beyond), the same on Docker 20.10, 26 and 28; containerd stores take more.
MAX_LAYERS = 125

#: What is set where neither the image nor the recipe says otherwise. onnxruntime reports home from release 1.29 on.
DEFAULTS = {"HF_HUB_DISABLE_XET": "1", "ORT_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_LABEL = "org.opencontainers.image."


@dataclass(frozen=True)
class PlacedModel:
    """A model's layer and what is told of it: ``told`` is ``OWNER/NAME@COMMIT``, or its repo alone without a commit."""

    layer: Layer
    name: str
    told: str
    path: PurePosixPath

    def step(self, created: str) -> Step:
        """Its entry in the history."""
        told = f"bundler: model {self.name} {self.told} at {self.path}"
        return Step({"created": created, "created_by": told, "comment": "bundler"}, self.layer)


@dataclass(frozen=True)
class Foundation:
    """What every image of a bundle stands on. ``base`` is the OS image, ``derived`` the layer of ``prepare:``.

    ``hub_cache`` is the directory of a Hub cache, if a model stands in one.
    """

    models: tuple[PlacedModel, ...]
    base: Stack
    derived: Layer | None = None
    hub_cache: PurePosixPath | None = None

    def steps(self, created: str) -> tuple[Step, ...]:
        """Models, operating system, derived layer, from the lowest."""
        models = tuple(model.step(created) for model in self.models)
        entry = {"created": created, "created_by": "bundler: outputs of prepare", "comment": "bundler"}
        derived = (Step(entry, self.derived),) if self.derived else ()
        return (*models, *of_kind(self.base.steps, "os"), *of_kind(derived, "derived"))


@dataclass(frozen=True)
class Release:
    """What a recipe says of all its images; ``created`` is RFC 3339 in UTC."""

    name: str
    version: str
    platform: str
    created: str
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def compose_base(reference: Reference, foundation: Foundation, release: Release) -> Image:
    """The base image: models, operating system, derived layer."""
    return _compose(reference, foundation.base, foundation.steps(release.created), foundation, release)


def compose_app(reference: Reference, app: Stack, foundation: Foundation, release: Release) -> Image:
    """An application over the same foundation; raises BuildError where ``app`` does not stand on the base."""
    own = of_kind(own_steps(app, foundation.base), "app")
    return _compose(reference, app, (*foundation.steps(release.created), *own), foundation, release)


def _compose(
    reference: Reference, stack: Stack, steps: Sequence[Step], foundation: Foundation, release: Release
) -> Image:
    layers = tuple(step.layer for step in steps if step.layer is not None)
    require_few(reference.familiar, [layer.kind for layer in layers])
    config = {
        **stack.config,
        "Env": _environment(stack, foundation, release),
        "Labels": _labels(stack, foundation, release),
    }
    document = {
        **_on_platform(stack, release.platform),
        "created": release.created,
        "config": config,
        "history": [dict(step.entry) for step in steps],
    }
    rendered = render_config(document, layers)
    return Image(reference, rendered, render_manifest(rendered, layers), layers)


def _environment(stack: Stack, foundation: Foundation, release: Release) -> list[str]:
    """The image's variables in their order, then ours."""
    own = dict(str(item).partition("=")[::2] for item in stack.config.get("Env") or ())
    cache = {"HF_HUB_CACHE": str(foundation.hub_cache)} if foundation.hub_cache else {}
    added = {**{key: value for key, value in {**DEFAULTS, **cache}.items() if key not in own}, **release.environment}
    return [f"{name}={value}" for name, value in {**own, **dict(sorted({**added, **QUIET}.items()))}.items()]


def _labels(stack: Stack, foundation: Foundation, release: Release) -> dict[str, str]:
    """The image's, over them what is true of this bundle, over them the recipe's; what a model is, is a fact."""
    standard = {"title": release.name, "version": release.version, "created": release.created}
    return {
        **{str(key): str(value) for key, value in (stack.config.get("Labels") or {}).items()},
        **{_LABEL + key: value for key, value in standard.items()},
        **release.labels,
        **{f"{model.name}.model": model.told for model in foundation.models},
    }


def _on_platform(stack: Stack, platform: str) -> dict[str, Any]:
    """The config's upper level for the recipe's platform, which names a CPU's variant only where it matters."""
    os_name, architecture, *variant = platform.split("/")
    found = (stack.document.get("os"), stack.document.get("architecture"))
    if found != (os_name, architecture):
        raise BuildError(
            f"it is an image for {found[0]}/{found[1]}, the recipe is for {platform}",
            where=stack.name,
            remedy="correct `platform:`, or give FROM an image for that platform",
        )
    rest = {key: value for key, value in stack.document.items() if key != "variant"}
    return {**rest, **({"variant": variant[0]} if variant else {})}


def require_few(name: str, kinds: Sequence[str]) -> None:
    """Raise BuildError where an image of layers of these kinds has more than engines take."""
    if len(kinds) <= MAX_LAYERS:
        return
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    raise BuildError(
        f"{len(kinds)} layers ({counted}); engines take {MAX_LAYERS}",
        where=name,
        remedy="join RUN and COPY instructions, and let one model entry with patterns bring several small models",
    )
