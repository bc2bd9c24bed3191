"""Building over private parents and exporting, on real engines with both builders."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pytest

from bundler.builder.engine_build.tags import CACHE, REPOSITORY
from bundler.builder.images import (
    BuildEngine,
    BuildOptions,
    BuildSession,
    BuiltImage,
    ExportedImage,
    SecretSource,
    request_of,
)
from bundler.builder.lock import Lock, LockedImage
from bundler.builder.recipe import BuildSpec, Recipe
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.errors import BuildError, EngineError, PreconditionError
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from testbed.engines import RunningEngine
from tests.support.build_site import images_in

MODELS = (PurePosixPath("/app/models/minilm"),)
OUTSIDE = "busybox:1.36"
BASE = Reference.parse("service:base")
APP = Reference.parse("service:1")


class Notes(SilentProgress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@dataclass(frozen=True)
class Kept:
    diff_id: Digest
    content: bytes

    @property
    def names(self) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(self.content)) as archive:
            return [name.strip("/") for name in archive.getnames()]


@dataclass
class Store:
    """Layers in memory; counts how many were taken."""

    layers: dict[Digest, Kept] = field(default_factory=dict)
    taken: int = 0

    def find(self, diff_id: Digest) -> Kept | None:
        return self.layers.get(diff_id)

    def store(self, stream: BinaryIO) -> Kept:
        content = b"".join(iter(lambda: stream.read(1 << 20), b""))
        kept = Kept(Digest(hashlib.sha256(content).hexdigest()), content)
        self.layers[kept.diff_id] = kept
        self.taken += 1
        return kept


@dataclass
class Site:
    """An engine, a builder and a recipe's directory."""

    engine: RunningEngine
    kind: Any
    work: Path
    recipe: Path
    notes: Notes = field(default_factory=Notes)

    def options(self, **values: Any) -> BuildOptions:
        return BuildOptions(**{"builder": self.kind, **values})

    def open(self, platform: Any = "linux/amd64", **values: Any) -> BuildEngine:
        client = connect(self.engine.base_url)
        return BuildEngine(client, self.work, platform, self.options(**values), self.notes)

    def write(self, name: str, text: str) -> None:
        (self.recipe / name).write_text(text)

    def build(
        self,
        session: BuildSession,
        base: str,
        app: str | None = None,
        locked: Sequence[LockedImage] = (),
        **values: Any,
    ) -> list[BuiltImage]:
        """Build ``Dockerfile.base`` and ``Dockerfile`` with these texts."""
        recipe = self._recipe(base, app)
        made = [session.build(request_of(recipe, recipe.base, self.options(**values)), locked, {})]  # type: ignore[arg-type]
        for spec in recipe.apps:
            made.append(session.build(request_of(recipe, spec, self.options(**values)), locked, {BASE: made[0]}))
        return made

    def _recipe(self, base: str, app: str | None) -> Recipe:
        self.write("Dockerfile.base", base)
        self.write("Dockerfile", app or "")
        return Recipe(
            format=1,
            name="service",
            version="1",
            platform="linux/amd64",
            base=BuildSpec(dockerfile="Dockerfile.base", tag=BASE),
            apps=(BuildSpec(dockerfile="Dockerfile", tag=APP),) if app else (),
            directory=self.recipe,
        )

    def private(self) -> str:
        """Everything private that the engine still shows."""
        images = self.engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}")
        containers = self.engine.docker("ps", "--all", "--format", "{{.Labels}}")
        return "\n".join(
            line
            for line in (images + containers).splitlines()
            if REPOSITORY in line or ("bundler" in line and CACHE not in line)
        )


KINDS = [
    "docker20-buildx",
    "docker20-classic",
    "docker26-buildx",
    "docker28-buildx",
    "docker28-classic",
    "docker28_containerd-buildx",
]
BUILDX = [kind for kind in KINDS if kind.endswith("buildx")]
EACH_BUILDER = ["docker20-classic", "docker26-buildx"]


def site_of(name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    fixture, _, kind = name.partition("-")
    engine: RunningEngine = request.getfixturevalue(fixture)
    request.getfixturevalue("busybox")(engine, OUTSIDE)
    for key, value in engine.environment().items():
        monkeypatch.setenv(key, value)
    (tmp_path / "recipe").mkdir()
    return Site(engine, kind, tmp_path / "work", tmp_path / "recipe")


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    yield (made := site_of(request.param, request, tmp_path, monkeypatch))
    assert made.private() == ""


@pytest.fixture(params=EACH_BUILDER)
def builder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Each builder once, for what does not depend on the engine's release."""
    yield (made := site_of(request.param, request, tmp_path, monkeypatch))
    assert made.private() == ""


@pytest.fixture(params=BUILDX)
def buildx(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    yield (made := site_of(request.param, request, tmp_path, monkeypatch))
    assert made.private() == ""


@pytest.fixture
def one(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Site]:
    """A site of a kind that the test names."""
    return lambda name: site_of(name, request, tmp_path, monkeypatch)


def config_of(image: ExportedImage[Kept]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(image.config)
    return found


def outputs(image: ExportedImage[Kept], path: str) -> str:
    """The file at ``path`` in the topmost layer that has it."""
    for layer in reversed(image.layers):
        with tarfile.open(fileobj=io.BytesIO(layer.content)) as archive:
            if path in archive.getnames() and (content := archive.extractfile(path)):
                return content.read().decode()
    raise AssertionError(f"{path} is in no layer")


def test_base_and_app_over_private_parents(site: Site) -> None:
    site.engine.docker("tag", OUTSIDE, BASE.familiar)
    image_id = json.loads(site.engine.docker("inspect", OUTSIDE))[0]["Id"]
    store, engine = Store(), site.open()
    assert site.kind in engine.choice.told or "classic" in engine.choice.told
    with engine.session(MODELS) as session:
        locked = [engine.resolve_from(OUTSIDE, None)]
        text = f"FROM {OUTSIDE} AS tools\nRUN echo made > /made\nFROM {OUTSIDE}\nCOPY --from=tools /made /made\n"
        base, app = site.build(session, text, f"FROM {BASE.familiar}\nWORKDIR /app\nRUN echo own > own\n", locked)
        exported = session.export([base, app], store)
    held = ["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]
    assert f"{BASE.familiar} {image_id}" in site.engine.docker(*held)
    site.engine.docker("rmi", BASE.familiar)

    assert [tuple(layer.diff_id for layer in image.layers) for image in exported] == [base.diff_ids, app.diff_ids]
    assert app.diff_ids[: len(base.diff_ids)] == base.diff_ids
    assert store.taken == len({*base.diff_ids, *app.diff_ids})
    assert app.private == base.private
    (skeleton,) = base.private.diff_ids
    assert store.layers[skeleton].names == ["app", "app/models"]
    assert outputs(exported[1], "app/own") == "own\n"
    history = config_of(exported[1])["history"]
    assert [("private.tar" in str(h) or "ADD file:" in str(h)) for h in history].index(True) == base.private.history[0]
    # What the skeleton is for: an ordinary WORKDIR hides nothing below it.
    assert not [name for layer in exported[1].layers for name in layer.names if name.endswith(".wh..wh..opq")]


def test_an_unchanged_build_comes_out_of_the_builders_cache(site: Site) -> None:
    ids = []
    for _ in range(2):
        engine = site.open()
        with engine.session(MODELS) as session:
            locked = [engine.resolve_from(OUTSIDE, None)]
            text = f"FROM {OUTSIDE}\nCOPY . /service\nRUN date +%s%N > /now\n"
            ids.append([image.image_id for image in site.build(session, text, f"FROM {BASE}\nRUN date > /t\n", locked)])
    assert ids[0] == ids[1]


def test_layers_that_are_there_are_not_taken_again(builder: Site) -> None:
    site = builder
    store, engine = Store(), site.open()
    with engine.session(MODELS) as session:
        (base,) = site.build(session, f"FROM {OUTSIDE}\n", locked=[engine.resolve_from(OUTSIDE, None)])
        first = session.export([base], store)
        taken = store.taken
        assert session.export([base], store) == first
    assert store.taken == taken


def test_a_stage_from_scratch(builder: Site) -> None:
    site = builder
    store, engine = Store(), site.open()
    with engine.session(MODELS) as session:
        text = f"FROM {OUTSIDE} AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /bin/busybox\n"
        (base,) = site.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)])
        (exported,) = session.export([base], store)
    assert [layer.names for layer in exported.layers] == [["app", "app/models"], ["bin", "bin/busybox"]]
    assert base.private.diff_ids == base.diff_ids[:1]


def test_the_context_is_what_the_ignore_file_leaves(builder: Site, tmp_path: Path) -> None:
    site = builder
    wheels = tmp_path / "wheels"
    (wheels / "sub").mkdir(parents=True)
    (wheels / "sub" / "a.whl").write_text("wheel")
    site.write(".dockerignore", "# comment\nsecret*\nDockerfile*\n!secret.public\n")
    for name in ("secret.key", "secret.public", "main.py"):
        site.write(name, name)
    (site.recipe / "link").symlink_to("main.py")
    store, engine = Store(), site.open(wheelhouse=wheels)
    with engine.session(MODELS) as session:
        text = f"FROM {OUTSIDE}\nCOPY . /all\n"
        (base,) = site.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)], wheelhouse=wheels)
        (exported,) = session.export([base], store)
    names = [name for name in exported.layers[-1].names if name.startswith("all/")]
    assert sorted(names) == [
        "all/link", "all/main.py", "all/secret.public", "all/wheelhouse", "all/wheelhouse/sub", "all/wheelhouse/sub/a.whl",
    ]  # fmt: skip


def test_a_wheelhouse_of_the_context_itself_is_in_the_way(one: Callable[[str], Site], tmp_path: Path) -> None:
    site = one("docker20-buildx")
    (site.recipe / "wheelhouse").mkdir()
    (tmp_path / "wheels").mkdir()
    engine = site.open(wheelhouse=tmp_path / "wheels")
    with engine.session(MODELS) as session, pytest.raises(BuildError, match="wheelhouse"):
        site.build(session, f"FROM {OUTSIDE}\n", locked=[engine.resolve_from(OUTSIDE, None)])
    with pytest.raises(PreconditionError):
        site.open(wheelhouse=tmp_path / "missing")


def test_a_failing_step_is_named_by_its_line_and_nothing_stays(site: Site) -> None:
    engine = site.open()
    with pytest.raises(BuildError) as caught, engine.session(MODELS) as session:
        text = f"FROM {OUTSIDE}\nRUN true\n\nRUN echo the-reason && \\\n    false\n"
        site.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)])
    assert caught.value.where == "Dockerfile.base:4"
    assert "RUN echo the-reason" in caught.value.what
    assert any("the-reason" in problem.what for problem in caught.value.problems)
    assert REPOSITORY not in str(caught.value)


def test_a_ca_is_there_for_steps_alone(site: Site, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text(certificate())
    site.engine.docker("tag", OUTSIDE, "parent:ca")
    site.write("Dockerfile.parent", f"FROM {OUTSIDE}\nENV SSL_CERT_FILE=/own.pem\n")
    site.engine.docker("build", "-q", "-t", "parent:ca", "-f", str(site.recipe / "Dockerfile.parent"), str(site.recipe))
    store, engine = Store(), site.open(ca_bundle=bundle)
    with engine.session(MODELS) as session:
        locked = [engine.resolve_from("parent:ca", None)]
        text = 'FROM parent:ca\nRUN tail -n 5 "$SSL_CERT_FILE" > /seen && echo $PIP_CERT >> /seen\nENV PIP_CERT=/mine\n'
        base, app = site.build(session, text, f"FROM {BASE}\nRUN env > /env\n", locked)
        exported = session.export([base, app], store)
    site.engine.docker("rmi", "parent:ca")
    assert outputs(exported[0], "seen").splitlines()[-2:] == ["-----END CERTIFICATE-----", "/.bundler-build/ca.pem"]
    assert certificate().splitlines()[-2] in outputs(exported[0], "seen")
    variables = {each.name: each for each in app.private.env}
    assert variables["SSL_CERT_FILE"].original == "/own.pem"
    assert variables["PIP_CERT"].original is None
    env = dict(entry.split("=", 1) for entry in config_of(exported[1])["config"]["Env"])
    assert env["PIP_CERT"] == "/mine" != variables["PIP_CERT"].value
    # Once for both images, in one layer, and in no other.
    holders = [layer.diff_id for layer in exported[1].layers if any(".bundler-build" in name for name in layer.names)]
    assert tuple(holders) == app.private.diff_ids
    assert len(app.private.history) == 2


def test_proxies_reach_steps_and_are_stored_nowhere(builder: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:hidden-word@proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", "registry.invalid")
    site = builder
    store, engine = Store(), site.open()
    with engine.session(MODELS) as session:
        text = f'FROM {OUTSIDE}\nRUN echo "$HTTP_PROXY" | wc -c > /length; echo "got $HTTP_PROXY"\n'
        (base,) = site.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)])
        (exported,) = session.export([base], store)
    assert outputs(exported, "length").strip() == str(len("http://user:hidden-word@proxy.invalid:3128\n"))
    assert b"proxy.invalid" not in exported.config
    assert "hidden-word" not in "\n".join(site.notes.lines)


def test_build_arguments(builder: Site) -> None:
    site = builder
    store, engine = Store(), site.open(args={"IMAGE": OUTSIDE, "WORD": "given words"})
    with engine.session(MODELS) as session:
        text = 'ARG IMAGE=none\nFROM ${IMAGE}\nARG WORD\nRUN echo "$WORD" > /word\n'
        arguments = {"IMAGE": OUTSIDE, "WORD": "given words"}
        (base,) = site.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)], args=arguments)
        (exported,) = session.export([base], store)
    assert outputs(exported, "word") == "given words\n"


def test_the_hosts_network_is_for_who_asks(site: Site) -> None:
    seen = []
    for network in (None, "host"):
        store, engine = Store(), site.open(network=network, no_cache=True)
        with engine.session(MODELS) as session:
            text = f"FROM {OUTSIDE}\nRUN ls /sys/class/net > /links\n"
            (base,) = site.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)])
            seen.append(outputs(session.export([base], store)[0], "links").split())
    host = [link.name for link in Path("/sys/class/net").iterdir()]
    assert set(seen[1]) & set(host) > {"lo"}
    assert not set(seen[0]) & set(host) - {"lo", "eth0"}


def test_mounts_of_the_cache_and_of_images(buildx: Site) -> None:
    store, engine = Store(), buildx.open()
    with engine.session(MODELS) as session:
        text = (
            f"# syntax=docker/dockerfile:1\nFROM {OUTSIDE}\n"
            f"RUN --mount=type=cache,target=/cache --mount=type=bind,from={OUTSIDE},source=/bin,target=/other \\\n"
            "    ls /other/busybox > /seen\n"
        )
        (base,) = buildx.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)])
        (exported,) = session.export([base], store)
    assert outputs(exported, "seen") == "/other/busybox\n"
    assert any("docker/dockerfile:1" in line for line in buildx.notes.lines)


@pytest.mark.parametrize("way", ["file", "variable"])
def test_a_secret_is_seen_by_its_step_and_nowhere_else(
    buildx: Site, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cr3t-token-value"
    (tmp_path / "token").write_text(secret + "\n")
    monkeypatch.setenv("TOKEN", secret)
    source = (
        SecretSource("token", path=tmp_path / "token") if way == "file" else SecretSource("token", variable="TOKEN")
    )
    store, engine = Store(), buildx.open(secrets=(source,), no_cache=True)
    with engine.session(MODELS) as session:
        mount = "--mount=type=secret,id=token"
        text = f"FROM {OUTSIDE}\nRUN {mount} tr -d '\\n' < /run/secrets/token | wc -c > /size; cat /run/secrets/token\n"
        locked = [engine.resolve_from(OUTSIDE, None)]
        (base,) = buildx.build(session, text, locked=locked)
        (exported,) = session.export([base], store)
        with pytest.raises(BuildError) as caught:
            buildx.build(session, f"FROM {OUTSIDE}\nRUN {mount} cat /run/secrets/token; false\n", locked=locked)
    assert outputs(exported, "size").strip() == str(len(secret))
    assert "********" in str(caught.value)
    everything = [exported.config, *(layer.content for layer in exported.layers)]
    assert not [each for each in everything if secret.encode() in each]
    assert secret not in "\n".join([*buildx.notes.lines, str(caught.value)])


@pytest.mark.parametrize(
    ("kind", "lines", "where", "what"),
    [
        ("docker20-classic", "RUN --mount=type=cache,target=/c true", 2, "classic builder has no RUN --mount"),
        ("docker20-classic", "RUN <<END\ntrue\nEND", 2, "classic builder has no heredoc"),
        ("docker20-classic", "RUN --mount=type=secret,id=t true", 2, "classic builder has no"),
        ("docker20-buildx", "RUN true\nRUN <<END\ntrue\nEND", 3, "a heredoc needs Docker 23"),
        ("docker20-buildx", "COPY --link a /a", 2, "COPY --link needs Docker 23"),
        ("docker26-buildx", "RUN --mount=type=secret,id=t true", 2, "secret 't' was not given"),
        ("docker26-buildx", "RUN --mount=type=ssh true", 2, "SSH agent"),
        ("docker26-buildx", "FROM --platform=linux/s390x busybox:1.36", 2, "the stage is for linux/s390x"),
    ],
)
def test_what_a_builder_lacks_is_refused_by_line(
    one: Callable[[str], Site], kind: str, lines: str, where: int, what: str
) -> None:
    site = one(kind)
    engine = site.open()
    with engine.session(MODELS) as session, pytest.raises(BuildError) as caught:
        site.build(session, f"FROM {OUTSIDE}\n{lines}\n", locked=[engine.resolve_from(OUTSIDE, None)])
    assert caught.value.problems[0].where == f"Dockerfile.base:{where}"
    assert what in caught.value.problems[0].what


def test_an_unpinned_frontend_is_refused(one: Callable[[str], Site]) -> None:
    site = one("docker26-buildx")
    engine = site.open()
    with engine.session(MODELS) as session, pytest.raises(BuildError, match="needs what cannot be had") as caught:
        site.build(
            session, f"# syntax=example/frontend:2\nFROM {OUTSIDE}\n", locked=[engine.resolve_from(OUTSIDE, None)]
        )
    assert caught.value.where == "Dockerfile.base:1"


def test_a_later_engine_takes_heredocs(one: Callable[[str], Site]) -> None:
    site = one("docker26-buildx")
    store, engine = Store(), site.open()
    with engine.session(MODELS) as session:
        text = f"FROM {OUTSIDE}\nRUN <<END\necho FROM {OUTSIDE} > /text\nEND\nCOPY --from={OUTSIDE} /bin/cat /cat\n"
        (base,) = site.build(session, text, locked=[engine.resolve_from(OUTSIDE, None)])
        (exported,) = session.export([base], store)
    assert outputs(exported, "text") == f"FROM {OUTSIDE}\n"


def test_without_the_plugin_the_classic_builder_is_used_and_said(
    one: Callable[[str], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = one("docker20-buildx")
    monkeypatch.setenv("DOCKER_CONFIG", site.engine.environment(buildx=False)["DOCKER_CONFIG"])
    engine = site.open(builder=None)
    assert engine.choice.kind == "classic"
    assert "classic builder" in engine.choice.told and "buildx" in engine.choice.told
    with pytest.raises(PreconditionError, match="buildx"):
        site.open()


def test_a_platform_that_the_builder_has_not(builder: Site) -> None:
    site = builder
    with pytest.raises(EngineError, match="not for linux/arm64"):
        site.open(platform="linux/arm64")


def test_a_link_above_a_model_is_named(one: Callable[[str], Site]) -> None:
    site = one("docker20-buildx")
    site.write("Dockerfile.own", f"FROM {OUTSIDE}\nRUN mkdir /opt && ln -s /opt /app\n")
    site.engine.docker("build", "-q", "-t", "linked:1", "-f", str(site.recipe / "Dockerfile.own"), str(site.recipe))
    engine = site.open()
    with engine.session(MODELS) as session, pytest.raises(BuildError, match="/app is a symbolic link"):
        site.build(session, "FROM linked:1\n", locked=[engine.resolve_from("linked:1", None)])
    site.engine.docker("rmi", "linked:1")


@pytest.mark.parametrize("kind", ["docker20-buildx", "docker28_containerd-buildx"])
def test_an_image_of_a_registry_is_pulled_by_digest_and_gets_no_tag(
    one: Callable[[str], Site], registry: str, kind: str
) -> None:
    site = one(kind)
    name = f"{registry}/team/parent:{kind.partition('-')[0]}"
    site.engine.docker("tag", OUTSIDE, name)
    pushed = site.engine.docker("push", "-q", name) and site.engine.docker("inspect", name)
    digest = json.loads(pushed)[0]["RepoDigests"][-1].partition("@")[2]
    site.engine.docker("rmi", name)
    engine = site.open()
    locked = engine.resolve_from(name, None)
    assert (locked.kind, locked.asked) == ("registry-digest", name)
    assert digest.startswith("sha256:") and str(locked.value) in pushed
    assert name not in site.engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}")
    lock = Lock(format=1, platform="linux/amd64", models=(), images=(locked,))
    assert engine.resolve_from(name, lock) == locked
    with engine.session(MODELS) as session:
        site.build(session, f"FROM {name}\nRUN true\n", locked=[locked])


def test_an_image_of_others_from_the_engine_is_not_pulled(one: Callable[[str], Site], registry: str) -> None:
    site = one("docker20-buildx")
    name = f"{registry}/team/beside:1"
    site.engine.docker("tag", OUTSIDE, name)
    site.engine.docker("push", "-q", name)
    engine = site.open()
    locked = engine.resolve_image(name, None)
    assert (locked.role, locked.kind) == ("image", "registry-digest")
    site.engine.docker("rmi", name)
    before = images_in(site.engine)
    lock = Lock(format=1, platform="linux/amd64", models=(), images=(locked,))
    for known, command in ((None, f"docker pull {name}"), (lock, f"docker pull {name[:-2]}@{locked.value}")):
        with pytest.raises(EngineError, match="is not in the engine") as caught:
            engine.resolve_image(name, known)
        assert f"`{command}`" in caught.value.remedy and "from: registry" in caught.value.remedy
    assert images_in(site.engine) == before


def test_a_locked_image_that_is_gone_is_an_error(one: Callable[[str], Site]) -> None:
    engine = one("docker20-buildx").open()
    missing = LockedImage(role="from", asked=OUTSIDE, kind="image-id", value=Digest("0" * 64))
    lock = Lock(format=1, platform="linux/amd64", models=(), images=(missing,))
    with pytest.raises(BuildError, match="does not hold"):
        engine.resolve_from(OUTSIDE, lock)


@pytest.mark.parametrize("kind", ["docker20-buildx", "docker28_containerd-buildx"])
def test_a_nameless_image_of_a_person_stays(one: Callable[[str], Site], kind: str) -> None:
    site = one(kind)
    site.write("Dockerfile.own", f"FROM {OUTSIDE}\nRUN echo {kind} > /own\n")
    own = ["build", "-q", "-t", "own:1", "-f", str(site.recipe / "Dockerfile.own"), str(site.recipe)]
    image_id = site.engine.docker(*own).strip()
    engine = site.open()
    locked = engine.resolve_from("own:1", None)
    site.engine.docker("tag", OUTSIDE, "own:1")
    with engine.session(MODELS) as session:
        site.build(session, "FROM own:1\nRUN true\n", locked=[locked])
    assert json.loads(site.engine.docker("inspect", image_id))[0]["Id"] == image_id
    site.engine.docker("rmi", "-f", "own:1", image_id)
    assert site.private() == ""


def test_what_a_killed_build_left_is_removed_by_the_next_and_not_what_lives(builder: Site) -> None:
    site = builder
    engine = site.open()
    script = (
        "import os,signal,sys\nfrom pathlib import Path,PurePosixPath\n"
        "from bundler.builder.images import *\nfrom bundler.core.docker_api import connect\n"
        "from bundler.core.progress import SilentProgress\n"
        f"e=BuildEngine(connect(),Path({str(site.work)!r}),'linux/amd64',BuildOptions(builder={site.kind!r}),SilentProgress())\n"
        f"with e.session([PurePosixPath('/app/m')]) as s:\n    s.outside(e.resolve_from({OUTSIDE!r},None))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "outside" in site.private()
    with engine.session(MODELS) as session:
        assert site.private() == ""
        mine = session.outside(engine.resolve_from(OUTSIDE, None))
        with engine.session(MODELS):
            assert site.private() == mine.tag


def test_attestations_are_left_out(one: Callable[[str], Site]) -> None:
    site = one("docker28_containerd-buildx")
    site.write("Dockerfile.own", f"FROM {OUTSIDE}\nRUN echo attested > /own\n")
    arguments = [
        "--provenance=true",
        "-q",
        "-t",
        "attested:1",
        "-f",
        str(site.recipe / "Dockerfile.own"),
        str(site.recipe),
    ]
    subprocess.run(["docker", "buildx", "build", *arguments], check=True, capture_output=True)
    engine, store = site.open(), Store()
    with engine.session(MODELS) as session:
        image = session.outside(engine.resolve_image("attested:1", None))
        (exported,) = session.export([image], store)
    assert outputs(exported, "own") == "attested\n"
    assert store.taken == 2
    site.engine.docker("rmi", "attested:1")


def certificate() -> str:
    """A certificate authority of this test, made once."""
    if not _MADE:
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        argv += ["-keyout", "/dev/null", "-subj", "/CN=company", "-days", "30"]
        _MADE.append(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return _MADE[0]


_MADE: list[str] = []
