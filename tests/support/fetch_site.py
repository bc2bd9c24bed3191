"""A place to run ``bundler fetch`` as a person does: a recipe of one model, a cache of its own, a Hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.endpoints import parse_endpoint
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedModel
from testbed.hub import Hub
from tests.support.build_site import write_recipe
from tests.support.download_world import AUTHORITIES, spec

#: What a test must not hand on from the one who runs it.
_NOT_OURS = ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HTTP_PROXY", "HTTPS_PROXY")
_NAMES = (*_NOT_OURS, *(name.lower() for name in _NOT_OURS), *AUTHORITIES, "NETRC", "XDG_CACHE_HOME")


@dataclass(frozen=True)
class FetchSite:
    """``root`` is the test's own folder; the recipe's one model is ``acme/tiny`` of ``hub``."""

    root: Path
    hub: Hub

    @property
    def recipe(self) -> Path:
        """The recipe's directory, made the first time."""
        path = self.root / "recipe"
        return path if path.exists() else write_recipe(path)

    @property
    def store(self) -> ModelStore:
        """The cache."""
        return ModelStore(self.root / "cache" / "bundler")

    def environment(self) -> dict[str, str]:
        """A person with a home of their own and no token."""
        env = {name: value for name, value in os.environ.items() if name not in _NAMES}
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        return {**env, "HOME": str(home), "HF_HOME": str(home / "hf"), "XDG_CACHE_HOME": str(self.root / "cache")}

    def command(self, *options: str, endpoints: Sequence[str] | None = None) -> list[str]:
        """``bundler fetch`` as a person types it; ``endpoints`` are named in the place of the Hub."""
        named = [self.hub.endpoint] if endpoints is None else endpoints
        asked = [word for endpoint in named for word in ("--endpoint", endpoint)]
        begin = [sys.executable, "-m", "bundler", "--debug", "fetch", str(self.recipe)]
        return [*begin, *asked, "--json", "--progress", "lines", *options]

    def start(
        self, *options: str, env: Mapping[str, str] | None = None, endpoints: Sequence[str] | None = None
    ) -> subprocess.Popen[str]:
        """Begin, with pipes; the caller waits for the end."""
        pipe, command = subprocess.PIPE, self.command(*options, endpoints=endpoints)
        environment = {**self.environment(), **(env or {})}
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    def locked(self, credentials: Credentials | None = None) -> LockedModel:
        """The model as a lock has it."""
        return HubSource(parse_endpoint(self.hub.endpoint, "test"), credentials or Credentials()).resolve(spec())

    def here(self, model: LockedModel) -> int:
        """Bytes of the model that the cache has, finished or not."""
        store = self.store
        return sum(file.size if store.find(file) else store.part(file).here() for file in model.files)


def require_fetched(output: str, content: Path) -> None:
    """What ``bundler fetch --json`` says is here stands there, byte for byte that of the repo."""
    model: dict[str, Any] = json.loads(output)["models"][0]
    assert model["files"]
    for file in model["files"]:
        assert digest_of(Path(file["place"])) == file["sha256"] == digest_of(content / file["path"])


def digest_of(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
