"""Options about downloads that ``lock``, ``fetch`` and ``build`` share, and what they make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from pydantic import TypeAdapter, ValidationError

from bundler.builder.hub.sources import SourceSettings
from bundler.builder.recipe_models import DownloaderName, DownloadSpec
from bundler.builder.recipe_types import ByteRate, Seconds
from bundler.builder.supply import DownloadSettings
from bundler.core.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


class _Of(click.ParamType):
    """A value as a recipe writes it: ``20MB/s``, ``1m30s``."""

    def __init__(self, kind: Any, name: str) -> None:  # noqa: ANN401 - any annotated type of recipe_types
        self.name = name
        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Read it, or say what would be right."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            told = error.errors(include_url=False)[0]
            remedy = told.get("ctx", {}).get("remedy", "")
            self.fail(f"{told['msg']}; {remedy}" if remedy else told["msg"], param, ctx)


_RATE = _Of(ByteRate, "rate")
_TIME = _Of(Seconds, "time")
_OPTIONS = (
    click.option(
        "--endpoint", "endpoints", metavar="URL", multiple=True, help="A mirror of the Hub; several are tried in turn."
    ),
    click.option(
        "--from",
        "directories",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Look first in this directory: model files, a Hub cache, a git clone.",
    ),
    click.option("--token-file", type=click.Path(path_type=Path), help="The Hub's token [HF_TOKEN, the Hub's login]."),
    click.option(
        "--endpoint-token", "endpoint_tokens", metavar="URL=FILE", multiple=True, help="The token of a mirror."
    ),
    click.option(
        "--ca-bundle", type=click.Path(path_type=Path), help="Authorities to trust, for downloads and inside builds."
    ),
    click.option(
        "--accept-licence", "accepted", metavar="ID", multiple=True, help="Accept a licence that has conditions."
    ),
    click.option("--downloader", type=click.Choice(get_args(DownloaderName)), help="What brings large files [auto]."),
    click.option("--connections", type=click.IntRange(1, 64), help="Connections at once, all files together [8]."),
    click.option("--limit-rate", type=_RATE, metavar="RATE", help="No faster than this, such as 20MB/s."),
    click.option("--attempts", type=click.IntRange(1), help="Attempts in a row that bring nothing [10]."),
    click.option("--retry-delay", type=_TIME, metavar="TIME", help="Pause after the first of them, then doubled [1s]."),
    click.option("--deadline", type=_TIME, metavar="TIME", help="Longest time for one file [24h]."),
    click.option("--timeout", type=_TIME, metavar="TIME", help="Longest wait for an answer or the next byte [20s]."),
    click.option("--stall", type=_RATE, metavar="RATE", help="A slower connection counts as stalled [1KiB/s]."),
)


def download_options(command: Command) -> Command:
    """All of them; the command gets one argument ``download`` in their place."""

    @wraps(command)
    def called(**values: Any) -> Any:  # noqa: ANN401 - click's own
        return command(download=_settings(values), **values)

    decorated: Any = called
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]  # of the same kind, with options


def _settings(values: dict[str, Any]) -> DownloadSettings:
    """Takes what is about downloads out of ``values``."""
    spec = DownloadSpec(
        attempts=values.pop("attempts"),
        first_delay_s=values.pop("retry_delay"),
        deadline_s=values.pop("deadline"),
        timeout_s=values.pop("timeout"),
        stall=values.pop("stall"),
        limit_rate=values.pop("limit_rate"),
        connections=values.pop("connections"),
        downloader=values.pop("downloader"),
    )
    return DownloadSettings(
        sources=SourceSettings(
            endpoints=tuple(values.pop("endpoints")),
            directories=tuple(values.pop("directories")),
            token_file=values.pop("token_file"),
            endpoint_tokens=_tokens(values.pop("endpoint_tokens")),
            ca_bundle=values.pop("ca_bundle"),
        ),
        spec=spec,
        accepted_licences=frozenset(values.pop("accepted")),
    )


def _tokens(texts: tuple[str, ...]) -> Mapping[str, Path]:
    found = {}
    for text in texts:
        url, equals, path = text.rpartition("=")
        if not equals or not path or "://" not in url:
            raise UsageError(
                "not URL=FILE",  # what was typed is not repeated: somebody may have written the token itself
                where="--endpoint-token",
                remedy="write --endpoint-token https://MIRROR=FILE, with the token in FILE",
            )
        found[url] = Path(path)
    return found
