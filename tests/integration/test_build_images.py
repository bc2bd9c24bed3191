"""Building over private parents and exporting, on real engines with both builders."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.builder.engine_build.tags import REPOSITORY
from bundler.builder.images import (
    SecretSource,
)
from bundler.core.errors import BuildError, EngineError, PreconditionError
from tests.support.image_building import (
    BASE,
    MODELS,
    OUTSIDE,
    Site,
    config_of,
    outputs,
    site_of,
)
from tests.support.kept_layers import Store

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


def certificate() -> str:
    """A certificate authority of this test, made once."""
    if not _MADE:
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        argv += ["-keyout", "/dev/null", "-subj", "/CN=company", "-days", "30"]
        _MADE.append(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return _MADE[0]


_MADE: list[str] = []
