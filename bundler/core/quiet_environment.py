"""The environment that keeps libraries quiet: what images of bundles always have, and what others may lack."""

from __future__ import annotations

from collections.abc import Mapping

#: The rule of every image of ours: nothing is asked of the Hub. No recipe and no Dockerfile changes these.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
# What huggingface_hub.constants takes for true; everything else is false there.
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


def is_on(value: str) -> bool:
    """Whether a library takes a variable of that value for set."""
    return value.upper() in _TRUE


def told_loud(variables: Mapping[str, str]) -> tuple[str, ...]:
    """What of the quiet environment is not in ``variables``, in words; nothing where all of it is."""
    told = []
    for name in QUIET:
        value = variables.get(name)
        if value is None:
            told.append(f"{name} is not set")
        elif not is_on(value):
            told.append(f"{name} is {value[:40]!r}")
    return tuple(told)
