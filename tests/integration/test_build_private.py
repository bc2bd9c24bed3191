"""What is private stays private: authorities, secrets, tokens, proxies, and the names of a person's images."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.engines import RunningEngine
from tests.support.build_site import BUSYBOX, BuildSite, build_site
from tests.support.kit_reading import config_of, open_whole, plain_bytes

pytestmark = pytest.mark.engine
SECRET = "s3cr3t-of-the-company"
TOKEN = "hf_privateTokenOfAPerson"
PASSWORD = "pass-word-of-the-proxy"
#: What only this build knows; nothing of it may be found in what is carried away.
#: Tags of parents; the question that is asked on purpose has a name below that host, and no path.
PRIVATE_NAMES = (b"bundler.invalid/", b".bundler-build")


def authority(directory: Path) -> Path:
    """A company's certificate authority, made for this test."""
    path = directory / "company-authority.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", "/dev/null", "-subj", "/CN=company", "-days", "30", "-out", str(path)]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    return path


def found_in(kit: Path, *needles: bytes) -> list[tuple[str, bytes]]:
    """Where in a finished kit one of the needles stands; layers are searched unpacked."""
    bundle = open_whole(kit)
    return [(place, needle) for place, content in plain_bytes(bundle) for needle in needles if needle in content]


@contextmanager
def events(engine: RunningEngine) -> Iterator[list[dict[str, str]]]:
    """What the engine tells of images while the block runs: each event's action and name."""
    told: list[dict[str, str]] = []
    since = time.time()
    yield told
    text = engine.docker(
        "events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}", "--filter", "type=image",
        "--format", "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}",
    )  # fmt: skip
    for line in text.splitlines():
        action, identity, name = [*line.split(" ", 2), ""][:3]
        told.append({"action": action, "id": identity, "name": name})


def dockerfiles(site: BuildSite, base: str, app: str) -> None:
    (site.recipe / "Dockerfile.base").write_text(f"FROM {BUSYBOX}\n{base}")
    (site.recipe / "Dockerfile").write_text(f"FROM small:base\n{app}")


@pytest.mark.parametrize(("fixture", "builder"), [("docker20", "classic"), ("docker28_containerd", "buildx")])
def test_everything_private_reaches_the_steps_and_is_nowhere_in_the_kit(
    request: pytest.FixtureRequest, fixture: str, builder: str, tmp_path: Path
) -> None:
    """A company's authority, a proxy with a password, a token for the Hub, a wheelhouse; and no name is touched."""
    engine: RunningEngine = request.getfixturevalue(fixture)
    with build_site(tmp_path, engine) as site:
        pem = authority(tmp_path)
        line = pem.read_text().splitlines()[2]
        step = (
            f'RUN grep -q "{line[:20]}""{line[20:]}" "$SSL_CERT_FILE" && test "$PIP_CERT" = "$SSL_CERT_FILE"'
            ' && test -r "$REQUESTS_CA_BUNDLE" && test -n "$APT_CONFIG" && echo "seen $HTTP_PROXY"'
            ' && echo "$HTTPS_PROXY" | wc -c > /length-of'
        )
        dockerfiles(
            site,
            f"{step}-base\nRUN test -z \"$HF_TOKEN\"\nENV NODE_EXTRA_CA_CERTS=/own.pem\n",
            f"COPY wheelhouse /wheels\n{step}-app\nRUN cat /wheels/some.whl > /copied\nUSER 10001\n",
        )  # fmt: skip
        (tmp_path / "wheels").mkdir()
        (tmp_path / "wheels" / "some.whl").write_text("a wheel")
        proxy = f"http://person:{PASSWORD}@proxy.invalid:3128"
        env = {
            "HTTP_PROXY": proxy, "https_proxy": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost",
            "HF_TOKEN": TOKEN,
        }  # fmt: skip
        for name in ("small:base", "small:1.0.0"):
            engine.docker("tag", BUSYBOX, name)
        own = [engine.docker("inspect", "--format", "{{.Id}}", name) for name in ("small:base", "small:1.0.0", BUSYBOX)]
        options = ["--builder", builder, "--ca-bundle", str(pem), "--wheelhouse", str(tmp_path / "wheels")]
        with events(engine) as told:
            done = site.run("--json", *options, env=env)
        assert done.returncode == 0, done.stderr
        assert site.hub.requests() and not any(seen.authorized for seen in site.hub.requests()), "it is a mirror"
        now = [engine.docker("inspect", "--format", "{{.Id}}", name) for name in ("small:base", "small:1.0.0", BUSYBOX)]
        engine.docker("rmi", "small:base", "small:1.0.0")

        body = line.encode()
        needles = (body, str(pem).encode(), TOKEN.encode(), PASSWORD.encode(), b"proxy.invalid", *PRIVATE_NAMES)
        assert found_in(site.kit, *needles) == []
        shown = done.stdout + done.stderr + (site.recipe / "recipe.lock").read_text()
        assert not [word for word in (TOKEN, PASSWORD, line, "bundler.invalid/") if word in shown]
        for path in (tmp_path / "cache").rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not [word for word in (TOKEN, PASSWORD) if word.encode() in content], path
        for image in open_whole(site.kit).images:
            names = [entry.partition("=")[0] for entry in config_of(image)["config"]["Env"]]
            assert not {"PIP_CERT", "SSL_CERT_FILE", "APT_CONFIG", "HTTP_PROXY", "HF_TOKEN"} & set(names)
            assert "NODE_EXTRA_CA_CERTS=/own.pem" in config_of(image)["config"]["Env"]

        assert now == own, "names of a person stay where they were"
        moved = [event for event in told if re.search(r"(^|/)(small|busybox-test):", event["name"] + " " + event["id"])]
        assert not [event for event in moved if event["action"] in ("tag", "untag", "delete", "load", "import")], told
        assert [event for event in told if event["action"] == "tag"], "the events are those of this build"
    assert private_things(engine) == []


def private_things(engine: RunningEngine) -> list[str]:
    """What of a build an engine still shows, without the classic builder's cache."""
    listed = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    containers = engine.docker("ps", "--all", "--filter", "label=bundler.build", "--format", "{{.ID}}").splitlines()
    return [name for name in listed if name.startswith("bundler.invalid/build")] + containers


@pytest.mark.parametrize("fixture", ["docker20", "docker28_containerd"])
def test_a_build_secret_is_seen_by_its_step_alone(request: pytest.FixtureRequest, fixture: str, tmp_path: Path) -> None:
    engine: RunningEngine = request.getfixturevalue(fixture)
    with build_site(tmp_path, engine) as site:
        mount = "RUN --mount=type=secret,id=token"
        check = f'test "$(cat /run/secrets/token)" = "$(echo {SECRET[:8]})$(echo {SECRET[8:]})"'
        dockerfiles(site, f"{mount} {check} && cat /run/secrets/token\n", f"{mount},target=/t {check[:5]} -s /t\n")
        recipe = site.recipe / "recipe.yaml"
        recipe.write_text(recipe.read_text() + "secrets: [ token ]\n")
        (tmp_path / "token").write_text(f"{SECRET}\n")
        secret = ["--secret", f"id=token,src={tmp_path / 'token'}"]
        ways = [secret, ["--secret", "id=token,env=COMPANY_TOKEN"]]
        for way in ways if fixture == "docker20" else ways[:1]:
            done = site.run("--rehearse", "off", *way, env={"COMPANY_TOKEN": SECRET})
            assert done.returncode == 0, done.stderr
            assert SECRET not in done.stdout + done.stderr
            assert found_in(site.kit, SECRET.encode(), *PRIVATE_NAMES) == []
        if fixture == "docker20":
            check_refusals(site, secret)
    assert private_things(engine) == []


def check_refusals(site: BuildSite, secret: list[str]) -> None:
    """Without the secret, and with a builder that has none, by line, before anything is built."""
    for options, what in (
        ((), "the build secret 'token' was not given"),
        (("--builder", "classic", *secret), "the classic builder has no"),
    ):
        site.hub.forget_requests()
        (site.recipe / "recipe.lock").unlink(missing_ok=True)
        done = site.run("--json", "--rehearse", "off", *options)
        assert done.returncode == 5, done.stderr
        assert site.hub.requests() == []
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        assert error["problems"][0]["where"] == "Dockerfile.base:2"
        assert what in error["problems"][0]["what"]
        assert SECRET not in done.stderr


@pytest.mark.parametrize(("fixture", "builder"), [("docker20", "classic"), ("docker28", "buildx")])
def test_nothing_private_stays_after_a_build_that_fails(
    request: pytest.FixtureRequest, fixture: str, builder: str, tmp_path: Path
) -> None:
    engine: RunningEngine = request.getfixturevalue(fixture)
    with build_site(tmp_path, engine) as site:
        pem = authority(tmp_path)
        dockerfiles(site, "RUN echo base > /base\n", f"RUN echo {SECRET} > /dev/null; echo the-reason; false\n")
        env = {"HTTP_PROXY": f"http://person:{PASSWORD}@proxy.invalid:1", "NO_PROXY": "127.0.0.1"}
        done = site.run("--json", "--builder", builder, "--ca-bundle", str(pem), env=env)
        assert done.returncode == 5, done.stderr
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        assert error["where"] == "Dockerfile:2"
        assert "the-reason" in done.stderr and "bundler.invalid" not in done.stderr and PASSWORD not in done.stderr
        assert not any(site.output.iterdir()) if site.output.exists() else True
    assert private_things(engine) == []


def test_a_copy_of_what_only_the_build_may_see_is_refused(docker20: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker20) as site:
        pem = authority(tmp_path)
        dockerfiles(site, "RUN chmod -R a+rX,g-w /.bundler-build && chmod 0640 /.bundler-build/ca.pem\n", "RUN true\n")
        done = site.run("--json", "--rehearse", "off", "--ca-bundle", str(pem))
        assert done.returncode == 5, done.stderr
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        assert "only the build may see" in error["problems"][0]["what"]
        assert "Dockerfile" in error["where"] or "small:base" in error["where"]
