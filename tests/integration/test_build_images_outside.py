"""Images from outside that builds stand on, what a killed build leaves, and what is left alone, on real engines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.builder.lock import Lock, LockedImage
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, EngineError
from tests.support.build_site import images_in
from tests.support.image_building import (
    MODELS,
    OUTSIDE,
    Site,
    outputs,
    site_of,
)
from tests.support.kept_layers import Store


@pytest.fixture
def one(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Site]:
    """A site of a kind that the test names."""
    return lambda name: site_of(name, request, tmp_path, monkeypatch)


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


@pytest.mark.parametrize("kind", ["docker20-classic", "docker26-buildx"])
def test_what_a_killed_build_left_is_removed_by_the_next_and_not_what_lives(
    one: Callable[[str], Site], kind: str
) -> None:
    site = one(kind)
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
    assert site.private() == ""


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
