"""What a builder lacks, found before it is asked, by line of the Dockerfile.

Releases of features: Dockerfile frontend's release notes ("1.2" stands in Docker 20.10, "1.4" in 23.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bundler.builder.dockerfile import Dockerfile, Feature
from bundler.builder.engine_build.values import BuilderKind, SecretSource
from bundler.core.errors import BuildError, Problem

#: The frontend's stable releases; the builder's own is used in their place. Anything else is a program of its own.
_STABLE_SYNTAX = re.compile(r"(docker\.io/)?docker/dockerfile:1(\.\d+)*(@sha256:[0-9a-f]{64})?")
#: First major release of Docker whose BuildKit has a flag.
_SINCE = {"COPY --link": 23, "ADD --link": 23, "ADD --checksum": 24, "ADD --keep-git-dir": 23, "RUN --network": 23}
_HEREDOC_SINCE = 23


def require_features(
    dockerfile: Dockerfile, builder: BuilderKind, engine_major: int, secrets: Sequence[SecretSource], platform: str
) -> None:
    """Raise BuildError with every line that this builder cannot build, and every secret that was not given."""
    given = {secret.id for secret in secrets}
    found = (_fault(dockerfile.name, each, builder, engine_major, given) for each in dockerfile.features)
    problems = [*_platforms(dockerfile, platform), *(problem for problem in found if problem)]
    if problems:
        raise BuildError(
            f"{dockerfile.name} needs what cannot be had here",
            where=problems[0].where,
            remedy="do what stands behind each line above",
            problems=problems,
        )


def _platforms(dockerfile: Dockerfile, platform: str) -> Iterator[Problem]:
    for stage in dockerfile.stages:
        if stage.platform not in (None, platform):
            what = f"the stage is for {stage.platform}, the recipe for {platform}"
            yield Problem(f"{dockerfile.name}:{stage.line}", what, "remove --platform")


def replaced_syntax(dockerfile: Dockerfile) -> str | None:
    """The stable frontend that the Dockerfile names and that the builder's own replaces, or None."""
    return next((each.detail for each in dockerfile.features if each.kind == "syntax"), None)


def _fault(name: str, feature: Feature, builder: BuilderKind, engine_major: int, given: set[str]) -> Problem | None:
    where = f"{name}:{feature.line}"
    if builder == "classic":
        return _classic_fault(where, feature)
    if feature.kind == "syntax" and not _STABLE_SYNTAX.fullmatch(feature.detail):
        what = f"the frontend {feature.detail} would be pulled and run, which no lock pins"
        return Problem(where, what, "remove the line, or name docker/dockerfile:1")
    if feature.kind == "heredoc" and engine_major < _HEREDOC_SINCE:
        return _too_old(where, "a heredoc", _HEREDOC_SINCE, "write the lines with && and \\")
    if feature.kind == "flag" and engine_major < _SINCE.get(feature.detail, 0):
        return _too_old(where, feature.detail, _SINCE[feature.detail], "leave the flag away")
    if feature.kind == "ssh":
        return Problem(where, "mounts an SSH agent, which bundler hands to no build", "give a key as a build secret")
    return _missing_secret(where, feature, given)


def _missing_secret(where: str, feature: Feature, given: set[str]) -> Problem | None:
    if feature.kind == "secret" and feature.detail not in given:
        remedy = f"add --secret id={feature.detail},src=FILE or --secret id={feature.detail},env=NAME"
        return Problem(where, f"the build secret {feature.detail!r} was not given", remedy)
    return None


def _classic_fault(where: str, feature: Feature) -> Problem | None:
    remedy = "install the docker buildx plugin, or write it without"
    shown = {
        "mount": f"RUN --mount=type={feature.detail}",
        "secret": f"the build secret {feature.detail!r}",
        "ssh": "an SSH mount",
        "heredoc": "a heredoc",
        "flag": feature.detail,
    }
    if feature.kind == "syntax":
        return None  # a comment to the classic builder
    return Problem(where, f"the classic builder has no {shown[feature.kind].removeprefix('a ')}", remedy)


def _too_old(where: str, what: str, since: int, instead: str) -> Problem:
    return Problem(where, f"{what} needs Docker {since} or newer", f"use a newer engine, or {instead}")
