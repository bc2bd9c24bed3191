"""Places in an image that hold models: whether something mounted there would cover them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bundler.builder.layer_scan import parts_of, related
from bundler.builder.source_policy.environment import Surroundings
from bundler.builder.source_policy.rules import WRITES

# What such directories are called, where no recipe among the paths says where the models are.
_USUAL = re.compile(r"(?:\w+[-_])?(?:models?|weights|checkpoints)(?:[-_]\w+)?|huggingface", re.I)


def judge_mount(target: str, told: str, surroundings: Surroundings) -> Iterator[tuple[str, str]]:
    """A rule and what is wrong where a mount at ``target`` covers a model; ``told`` says what is mounted."""
    place = parts_of(target)
    if not place or not target.startswith("/"):
        return
    covered = next((path for path in surroundings.model_paths if related(place, parts_of(path))), None)
    if covered is not None:
        yield WRITES, f"{told} at {target} covers the model at {covered}"
    elif not surroundings.model_paths and any(_USUAL.fullmatch(part) for part in place):
        yield WRITES, f"{told} at {target} covers what the image has there, models by its name"
