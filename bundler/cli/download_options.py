"""Options about downloads that ``lock``, ``fetch`` and ``build`` share, and what they make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from pydantic import ValidationError

from bundler.builder.recipe_models import DownloaderName, DownloadSpec
from bundler.builder.supply import DownloadSettings
from bundler.core.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


#: Options that a recipe's `download:` has too, and its keys.
_KEYS = {
    "downloader": "downloader",
    "connections": "connections",
    "limit_rate": "limit_rate",
    "attempts": "attempts",
    "retry_delay": "first_delay",
    "deadline": "deadline",
    "timeout": "timeout",
    "stall": "stall",
}
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
    click.option("--limit-rate", metavar="RATE", help="No faster than this, such as 20MB/s."),
    click.option("--attempts", type=click.IntRange(1), help="Attempts in a row that bring nothing [10]."),
    click.option("--retry-delay", metavar="TIME", help="Pause after the first of them, then doubled [1s]."),
    click.option("--deadline", metavar="TIME", help="Longest time for one file [24h]."),
    click.option("--timeout", metavar="TIME", help="Longest wait for an answer or the next byte [20s]."),
    click.option("--stall", metavar="RATE", help="A slower connection counts as stalled [1KiB/s]."),
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
    return DownloadSettings(
        endpoints=tuple(values.pop("endpoints")),
        directories=tuple(values.pop("directories")),
        token_file=values.pop("token_file"),
        endpoint_tokens=tuple(values.pop("endpoint_tokens")),
        ca_bundle=values.pop("ca_bundle"),
        spec=_spec({option: values.pop(option) for option in _KEYS}),
        accepted_licences=frozenset(values.pop("accepted")),
    )


def _spec(given: Mapping[str, object]) -> DownloadSpec:
    """Read as a recipe's values are."""
    try:
        return DownloadSpec.model_validate({_KEYS[option]: value for option, value in given.items()})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = next(option for option, key in _KEYS.items() if key == first["loc"][0])
        remedy = first.get("ctx", {}).get("remedy", "see --help")
        raise UsageError(first["msg"], where=f"--{option.replace('_', '-')}", remedy=str(remedy)) from error
