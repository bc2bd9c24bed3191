"""From a recipe's words and the command line's to the places where a model is looked for, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import Source
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.directory_source import DirectorySource
from bundler.builder.hub.sources.endpoints import HUB, Endpoint, parse_endpoint
from bundler.builder.hub.sources.git_source import GitSource
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.hub.sources.url_source import UrlSource
from bundler.builder.hub.sources.web import TIMEOUT_S
from bundler.builder.lock import LockedModel
from bundler.builder.recipe_models import DirectorySource as DirectorySpec
from bundler.builder.recipe_models import EndpointSource, ModelSpec, SourceSpec
from bundler.builder.recipe_models import GitSource as GitSpec
from bundler.core.errors import DownloadError, Problem


@dataclass(frozen=True)
class SourceSettings:
    """What all models of a run share.

    ``endpoints`` stand where a recipe says ``hub`` (`endpoints.endpoints_of`); those that were ``chosen`` on the
    command line are asked before whatever a recipe says, and the Hub then only if it is one of them. ``directories``
    (``--from``) come before all. ``recipe_directory`` is what relative paths of a recipe stand on, ``cache`` the root
    of the model store, ``timeout_s`` the longest wait for a connection or the next byte of an answer. Once ``halt`` is
    set (`limits.Limits`), programs that run for a source end.
    """

    cache: Path
    recipe_directory: Path = field(default_factory=Path)
    endpoints: tuple[Endpoint, ...] = (Endpoint(HUB),)
    chosen: bool = False
    directories: tuple[Path, ...] = ()
    credentials: Credentials = field(default_factory=Credentials)
    ca_bundle: Path | None = None
    timeout_s: float = TIMEOUT_S
    halt: threading.Event | None = None


@dataclass(frozen=True)
class Resolution:
    """What a model resolved to, at which source, and why those before it did not say."""

    model: LockedModel
    source: str
    refusals: tuple[Problem, ...] = ()


def sources_of(wanted: ModelSpec, settings: SourceSettings) -> tuple[Source, ...]:
    """Where ``wanted`` is looked for, each place once; raises UsageError for an address that is none."""
    found: dict[str, Source] = {}
    for source in _in_order(wanted, settings):
        found.setdefault(source.name, source)
    return tuple(found.values())


def _in_order(wanted: ModelSpec, settings: SourceSettings) -> Iterator[Source]:
    for directory in settings.directories:
        yield DirectorySource(directory, settings.cache)
    if settings.chosen:
        yield from _hubs(settings.endpoints, settings)
    for spec in wanted.sources:
        yield from _of_spec(spec, settings)


def _of_spec(spec: SourceSpec, settings: SourceSettings) -> Iterator[Source]:
    if spec == "hub":
        yield from _hubs(settings.endpoints, settings)
    elif isinstance(spec, EndpointSource):
        yield from _hubs([parse_endpoint(spec.endpoint, "the recipe")], settings)
    elif isinstance(spec, GitSpec):
        known, trusted = settings.credentials, settings.ca_bundle
        yield GitSource(spec.git, settings.cache, known, trusted, settings.timeout_s, settings.halt)
    elif isinstance(spec, DirectorySpec):
        yield DirectorySource(settings.recipe_directory / spec.directory, settings.cache)
    else:
        yield UrlSource(spec.urls, settings.credentials, settings.ca_bundle, settings.timeout_s)


def _hubs(endpoints: Sequence[Endpoint], settings: SourceSettings) -> Iterator[Source]:
    for endpoint in endpoints:
        yield HubSource(endpoint, settings.credentials, settings.ca_bundle, settings.timeout_s)


def resolve_first(sources: Sequence[Source], wanted: ModelSpec) -> Resolution:
    """Ask one source after the other, until one says what the revision is.

    Raises TransientError where at least one of them may say it another time, DownloadError where none will; a single
    source's own words are handed on, of several each one's refusal.
    """
    refusals: list[Problem] = []
    failures: list[TransientError] = []
    errors: list[DownloadError] = []
    for source in sources:
        try:
            return Resolution(source.resolve(wanted), source.name, tuple(refusals))
        except TransientError as error:
            failures.append(error)
            refusals.append(Problem(source.name, str(error)))
        except DownloadError as error:
            errors.append(error)
            refusals.append(Problem(source.name, error.what, error.remedy))
    if failures and len(sources) == 1:
        raise failures[0]
    if failures:
        pauses = [error.retry_after_s for error in failures if error.retry_after_s is not None]
        told = "; ".join(f"{refusal.where}: {refusal.what}" for refusal in refusals)
        raise TransientError(told, min(pauses, default=None)) from failures[-1]
    if len(errors) == 1:
        raise errors[0]
    raise DownloadError(
        f"model {wanted.name}: none of its sources says what {wanted.repo}@{wanted.revision} is",
        where=", ".join(source.name for source in sources),
        remedy="mend one of the sources named above, or add another by --endpoint or --from",
        problems=refusals,
    )
