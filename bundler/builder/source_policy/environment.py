"""Variables that put libraries online, whatever language sets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bundler.builder.source_policy.hosts import model_host
from bundler.builder.source_policy.rules import ENV_ONLINE, HUB_URL, REPO_ID
from bundler.builder.source_policy.values import names_a_repo
from bundler.core.quiet_environment import is_on

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
ENDPOINT = "HF_ENDPOINT"
_MODEL_VARIABLES = ("MODEL", "MODEL_ID", "MODEL_NAME", "MODEL_REPO", "REPO_ID")


@dataclass(frozen=True)
class Surroundings:
    """What the other files among the paths say.

    ``variables`` are those that images and services get; ``model_paths`` those of recipes; ``scripts`` the names of
    the files that start with a container, None where nothing among the paths says how one starts.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    model_paths: tuple[str, ...] = ()
    scripts: frozenset[str] | None = None

    def starts(self, name: str) -> bool:
        """Whether the script of that name runs at the start, as far as is known."""
        return self.scripts is None or name in self.scripts


def judge_variable(name: str, value: str | None) -> tuple[str, str] | None:
    """Rule and what is wrong with setting ``name`` to ``value`` (None: it is not known) at run time, or None."""
    if name == ENDPOINT:
        return ENV_ONLINE, f"{ENDPOINT} is set at run time: whoever reads it asks that host"
    if value is None:
        return None
    if name in OFFLINE_VARIABLES and "\0" not in value and "$" not in value and not is_on(value):
        return ENV_ONLINE, f"{name}={value} puts the libraries online"
    host = model_host(value)
    if host is not None:
        return HUB_URL, f"{name} leads to {host}"
    if _names_a_model(name) and "/" in value and names_a_repo(value):
        return REPO_ID, f"{name}={value} names a repo of the Hub"
    return None


def judge_removal(name: str) -> tuple[str, str] | None:
    """The same for taking the variable away."""
    return (ENV_ONLINE, f"{name} is taken away") if name in OFFLINE_VARIABLES else None


def _names_a_model(name: str) -> bool:
    return name in _MODEL_VARIABLES or name.endswith(tuple(f"_{each}" for each in _MODEL_VARIABLES))
