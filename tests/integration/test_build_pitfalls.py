"""What images do to models below them: each way is refused by name or comes out right, on real engines.

Refusals are collected in recipes of many models, each with one pitfall of its own, since all are reported together.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from testbed import TestbedError
from testbed.engines import RunningEngine
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.build_site import BUSYBOX, REPO, BuildSite, build_site, fetched_files, write_model
from tests.support.handmade import HandLayer, file_layer, make_image, shell_layer
from tests.support.kit_reading import config_of, image_named, layers_of, members_of, open_whole

pytestmark = pytest.mark.engine
STORES = ("docker20", "docker28_containerd")


@pytest.fixture(params=STORES)
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    """One engine of each kind of store: they write whiteouts and opaque directories in ways of their own."""
    found: RunningEngine = request.getfixturevalue(request.param)
    return found


def write_parts(site: BuildSite, paths: Mapping[str, str], base: str, *apps: str, image: str = "") -> None:
    """A recipe with the tiny model at each of the paths, and these Dockerfiles."""
    models = [{"name": name, "repo": REPO, "path": path} for name, path in paths.items()]
    names = ["Dockerfile", *(f"Dockerfile.{number}" for number in range(2, len(apps) + 1))]
    document = {
        "format": 1,
        "name": "small",
        "version": "1.0.0",
        "platform": "linux/amd64",
        "models": models,
        "base": {"image": image, "tag": "small:base"} if image else {"dockerfile": "Dockerfile.base", "tag": "small:base"},
        "apps": [
            {"dockerfile": name, "tag": f"small:{number}"}
            for number, name in enumerate(names[: len(apps)], start=1)
        ],
    }  # fmt: skip
    (site.recipe / "recipe.yaml").write_text(json.dumps(document))
    (site.recipe / "Dockerfile.base").write_text(base)
    for name, text in zip(names, apps):
        (site.recipe / name).write_text(text)


def refused(site: BuildSite, *options: str, code: int = 5, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The error of a build that must not end well, as the program tells it; no kit stands."""
    done = site.run("--json", "--rehearse", "off", *options, env=env)
    assert done.returncode == code, done.stderr
    assert not site.output.exists() or not any(site.output.iterdir())
    error: dict[str, Any] = json.loads(done.stderr.strip().splitlines()[-1])["error"]
    assert error["exit_code"] == code and error["do"]
    return error


def told(error: Mapping[str, Any]) -> list[str]:
    return [f"{problem['where']}: {problem['what']}" for problem in error["problems"]]


def test_what_an_image_does_to_models_is_refused_all_at_once(engine: RunningEngine, tmp_path: Path) -> None:
    names = ["below", "at", "above", "linked", "gone", "opaque", "vat", "vabove", "vbelow", "closed", "late", "fine"]
    base = (
        f"FROM {BUSYBOX}\n"
        "COPY app.txt /below/m/config.json\n"
        "RUN mkdir -p /opaque /late && echo x > /at/m && echo x > /opaque/old && echo x > /late/old\n"
        "VOLUME /vat/m\n"
        "RUN mkdir -p /fine /closed && chmod 0700 /closed && echo beside > /fine/beside\n"
    )
    app = (
        "FROM small:base\n"
        "RUN rm -r /opaque && mkdir /opaque\n"
        "RUN rm -r /late\n"
        "RUN rmdir /above && echo x > /above\n"
        "RUN rmdir /linked && mkdir -p /opt/linked && ln -s opt/linked /linked\n"
        'VOLUME ["/vabove", "/vbelow/m/cache"]\n'
        "USER 10001\n"
    )
    with build_site(tmp_path, engine) as site:
        write_parts(site, {name: f"/{name}/m" for name in names}, base, app, "FROM small:base\nUSER nobody-here\n")
        error = refused(site)
    found = told(error)
    expected = [
        ("small:base", "COPY app.txt /below/m/config.json", "puts the file /below/m/config.json into the model below"),
        ("small:base", "echo x > /at/m", "puts a file at /at/m, which hides the model at"),
        ("small:base", "VOLUME /vat/m", "copy or hide the model vat"),
        ("small:1", "RUN /bin/sh -c rm -r /late", "removes /late, and with it the model late"),
        ("small:1", "echo x > /above", "puts a file at /above, which hides the model above"),
        ("small:1", "ln -s opt/linked", "makes /linked a link to opt/linked, which hides the model linked"),
        ("small:1", "VOLUME /vabove", "copy or hide the model vabove"),
        ("small:1", "VOLUME /vbelow/m/cache", "copy or hide the model vbelow"),
        ("small:1", "USER 10001", "cannot reach the model closed at /closed/m: /closed has mode 0700 and owner 0:0"),
        ("small:2", "USER nobody-here", "no such user or group"),
    ]
    if engine.kind.store == "overlay2":  # containerd names each removed file by itself, so nothing else is hidden
        step = "rm -r /opaque && mkdir /opaque"
        expected.append(("small:1", step, "replaces the directory /opaque, which hides the model opaque"))
    else:
        assert not [line for line in found if "the model opaque" in line]
    missing = [each for each in expected if not any(all(part in line for part in each) for line in found)]
    assert not missing, found
    assert not [line for line in found if "the model fine" in line or "the model gone" in line]


def test_what_stays_right(engine: RunningEngine, tmp_path: Path) -> None:
    """Owners of the OS, a user by name, directories made anew where nothing was, a model that is another's brother."""
    base = (
        f"FROM {BUSYBOX}\n"
        "RUN echo 'svc:x:1000:1000::/:/bin/sh' > /etc/passwd && echo 'svc:x:1000:' > /etc/group\n"
        "RUN rm -rf /app && mkdir /app && chown 1000:1000 /app && chmod 0750 /app && echo os > /app/os\n"
        "RUN rm -rf /opt/deep && mkdir -p /opt/deep\n"
    )
    app = "FROM small:base\nRUN rm -r /srv && mkdir /srv\nCOPY app.txt /app/models/app.txt\nUSER svc\nWORKDIR /app\n"
    paths = {"owned": "/app/models/tiny", "deep": "/opt/deep/m", "served": "/srv/m"}
    with build_site(tmp_path, engine) as site:
        write_parts(site, paths, base, app)
        try:
            bundle = open_whole(site.build("--rehearse", "off", "--load"))
            script = (
                "id -un; stat -c '%u:%g %a' /app /app/models /app/models/tiny; cat /app/os /app/models/app.txt;"
                " sha256sum /app/models/tiny/model.safetensors /opt/deep/m/model.safetensors /srv/m/model.safetensors"
            )
            shown = engine.run("--network", "none", "small:1", "sh", "-c", script).splitlines()
        finally:
            engine.docker("rmi", "--force", "small:1", "small:base")
        weights = site.root / "repo" / "model.safetensors"
        digest = subprocess.run(["sha256sum", str(weights)], check=True, capture_output=True, text=True).stdout[:64]
    assert shown[:6] == ["svc", "1000:1000 750", "0:0 755", "0:0 755", "os", "application"]
    assert [line[:64] for line in shown[6:]] == [digest] * 3
    # Nothing of ours or of the engine's is left that would hide what stands below.
    names = [name for layer in layers_of(bundle).values() for name in members_of(bundle, layer)]
    assert not [name for name in names if name.endswith(".wh..wh..opq") and name.split("/")[0] in ("app", "opt", "srv")]
    assert config_of(image_named(bundle, "small:1"))["config"]["User"] == "svc"


def test_links_and_files_above_models_in_the_parent_of_an_app(docker20: RunningEngine, tmp_path: Path) -> None:
    """Found before the step that would fail over them, whether the image came from outside or was just built."""
    own = "RUN rm -rf /app /data /fine && mkdir -p /opt/app && ln -s opt/app /app && echo x > /data && mkdir /fine\n"
    paths = {"linked": "/app/models/m", "filed": "/data/deep/m", "fine": "/fine/m"}
    with build_site(tmp_path, docker20) as site:
        write_parts(site, paths, f"FROM {BUSYBOX}\n{own}", "FROM small:base\n")
        error = refused(site)
        assert told(error) == ["/app: is a symbolic link in the image", "/data: is not a directory in the image"]
        docker20.docker(
            "build", "-q", "-t", "own-parent:1", "-f", str(site.recipe / "Dockerfile.base"), str(site.recipe)
        )
        try:
            (site.recipe / "recipe.lock").unlink()
            write_parts(site, paths, "FROM own-parent:1\n", "FROM small:base\n")
            assert told(refused(site)) == told(error)
        finally:
            docker20.docker("rmi", "own-parent:1")


def test_a_model_file_that_engines_would_read_as_an_order(docker20: RunningEngine, tmp_path: Path) -> None:
    repo = write_model(tmp_path / "whiteouts", 1000)
    (repo / "sub").mkdir()
    (repo / "sub" / ".wh.config.json").write_text("x")
    with build_site(tmp_path, docker20) as usual, Hub([HubRepo(REPO, repo)]) as hub:
        site = BuildSite(usual.root, usual.engine, hub)
        write_parts(site, {"tiny": "/app/models/tiny"}, f"FROM {BUSYBOX}\n", "FROM small:base\n")
        error = refused(site)
        assert "model tiny, acme/tiny@" in error["where"]
        assert [problem for problem in error["problems"] if "sub/.wh.config.json" in problem["what"]]
        assert fetched_files(hub) == [], "refused before anything is fetched"
        recipe = json.loads((site.recipe / "recipe.yaml").read_text())
        recipe["models"][0]["exclude"] = ["*.wh.*"]
        (site.recipe / "recipe.yaml").write_text(json.dumps(recipe))
        (site.recipe / "recipe.lock").unlink(missing_ok=True)
        bundle = open_whole(site.build("--rehearse", "off"))
        assert "sub/.wh.config.json" not in [file.path for file in bundle.manifest.models[0].files]


def write_archive(path: Path, name: str, layers: list[HandLayer]) -> None:
    """What `docker save` would write of an image of these layers."""
    image = make_image(name, layers)
    files = {f"{number}.tar": layer.plain for number, layer in enumerate(layers)}
    listed = [{"Config": "config.json", "RepoTags": [name], "Layers": list(files)}]
    with tarfile.open(path, "w") as archive:
        for member, content in {
            **files,
            "config.json": image.config,
            "manifest.json": json.dumps(listed).encode(),
        }.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def load_layers(engine: RunningEngine, folder: Path, count: int) -> str:
    """An image of so many layers in the engine; its name."""
    archive, name = folder / "many.tar", f"many:{count}"
    files = [file_layer(f"srv/{number}", b"x") for number in range(count - 1)]
    write_archive(archive, name, [shell_layer(), *files])
    engine.docker("load", "--input", str(archive))
    return name


APP_OF_TWO = "FROM small:base\nCOPY app.txt /a\nCOPY app.txt /b\n"


def test_layers_are_counted_before_the_models_are_packed(docker20: RunningEngine, tmp_path: Path) -> None:
    """What engines take is counted with the models; what the builder itself takes is left to its own words."""
    parent = load_layers(docker20, tmp_path, 121)
    with build_site(tmp_path, docker20) as site:
        write_parts(site, {"one": "/m/1", "two": "/m/2", "three": "/m/3"}, "", APP_OF_TWO, image=parent)
        error = refused(site)
        assert error["where"] == "small:1"
        assert "126 layers (3 model, 121 os, 2 app); engines take 125" in error["what"]
        assert "join RUN and COPY" in error["do"]
        (site.recipe / "recipe.lock").unlink()
        write_parts(site, {"one": "/m/1", "two": "/m/2"}, "", APP_OF_TWO, image=parent)
        bundle = open_whole(site.build("--rehearse", "off"))
        assert len(image_named(bundle, "small:1").layers) == 125
    docker20.docker("rmi", parent)


@pytest.mark.soak
def test_what_is_counted_as_enough_is_taken_by_an_engine(engine: RunningEngine, tmp_path: Path) -> None:
    """Minutes: each of 125 layers is a load of its own."""
    parent = load_layers(engine, tmp_path, 121)
    with build_site(tmp_path, engine) as site:
        write_parts(site, {"one": "/m/1", "two": "/m/2"}, "", APP_OF_TWO, image=parent)
        try:
            bundle = open_whole(site.build("--rehearse", "off", "--load"))
            assert len(image_named(bundle, "small:1").layers) == 125
            printed = engine.run("--network", "none", "small:1", "cat", "/m/1/config.json", "/srv/0", "/a")
            assert printed == '{"hidden_size": 8}\nxapplication\n'
        finally:
            engine.docker("rmi", "--force", "small:1", "small:base", parent)


def test_one_layer_more_is_what_graph_drivers_refuse(engine: RunningEngine, tmp_path: Path) -> None:
    """A containerd store takes more; the limit is that of any engine to which a kit may go."""
    most = load_layers(engine, tmp_path, 125)
    assert engine.run("--network", "none", most, "cat", "/srv/0", "/srv/123") == "xx"
    if engine.kind.name.endswith("containerd"):
        engine.docker("rmi", load_layers(engine, tmp_path, 126))
    else:
        with pytest.raises(TestbedError, match="max depth exceeded"):
            load_layers(engine, tmp_path, 126)
    engine.docker("rmi", most)


def test_more_steps_than_the_builder_takes(docker20: RunningEngine, tmp_path: Path) -> None:
    parent = load_layers(docker20, tmp_path, 121)
    with build_site(tmp_path, docker20) as site:
        steps = "".join(f"COPY app.txt /{number}\n" for number in range(10))
        write_parts(site, {"one": "/m/1"}, f"FROM {parent}\n{steps}", "FROM small:base\n")
        error = refused(site)
        assert error["where"].startswith(("Dockerfile.base:", "small:base"))
        assert "max depth exceeded" in json.dumps(error)
    docker20.docker("rmi", parent)


def test_a_final_stage_that_is_not_the_base(docker20: RunningEngine, tmp_path: Path) -> None:
    """What can be read is a fault of the recipe, by line; what an argument decides is found in the layers."""
    base = f"FROM {BUSYBOX}\nRUN echo os > /os\n"
    static = (
        f"FROM small:base AS models\nFROM {BUSYBOX}\nCOPY --from=models /os /os\n",
        "FROM small:base AS models\nFROM scratch\nCOPY --from=models / /\n",
        f"ARG PARENT={BUSYBOX}\nFROM $PARENT\n",
        f"FROM {BUSYBOX} AS own\nFROM own\n",
    )
    with build_site(tmp_path, docker20) as site:
        write_parts(site, {"m": "/m/1"}, base, *static)
        found = refused(site, code=3)["problems"]
        lines = ["Dockerfile:2", "Dockerfile.2:2", "Dockerfile.3:2", "Dockerfile.4:1"]
        assert [problem["where"] for problem in found] == lines
        assert all("not from the base small:base" in problem["what"] for problem in found)
        assert all("FROM small:base" in problem["do"] for problem in found)
        text = f"ARG PARENT=small:base\nFROM small:base AS first\nFROM {BUSYBOX} AS other\nFROM $PARENT\nRUN true\n"
        write_parts(site, {"m": "/m/1"}, base, text)
        error = refused(site, "--build-arg", "PARENT=other")
        assert error["where"] == "small:1"
        assert "not FROM the base image" in error["what"] and "FROM small:base" in error["do"]
        site.build("--rehearse", "off", "--build-arg", "PARENT=first")


def test_attestations_come_neither_from_a_parent_nor_by_default(
    docker28_containerd: RunningEngine, tmp_path: Path
) -> None:
    engine = docker28_containerd
    with build_site(tmp_path, engine) as site:
        (site.recipe / "Dockerfile.own").write_text(f"FROM {BUSYBOX}\nRUN echo attested > /own\n")
        argv = ["docker", "buildx", "build", "--provenance=mode=max", "-q", "-t", "attested:1"]
        argv += ["-f", str(site.recipe / "Dockerfile.own"), str(site.recipe)]
        subprocess.run(argv, env=engine.environment(), check=True, capture_output=True, timeout=600)
        listed = engine.get("/images/json?manifests=1")
        kinds = [each["Kind"] for image in listed if "attested:1" in image["RepoTags"] for each in image["Manifests"]]
        assert sorted(kinds) == ["attestation", "image"]
        write_parts(site, {"m": "/m/1"}, "FROM attested:1\nRUN true\n", "FROM small:base\nRUN true\n")
        try:
            bundle = open_whole(site.build("--rehearse", "off", env={"BUILDX_NO_DEFAULT_ATTESTATIONS": "0"}))
        finally:
            engine.docker("rmi", "attested:1")
    index = json.loads((site.kit / "head" / "index.json").read_text())
    assert len(index["manifests"]) == len(bundle.images) == 2
    assert "unknown" not in json.dumps(index) and "attestation" not in json.dumps(index)
    for image in bundle.images:
        document = json.loads(image.manifest)
        assert all("in-toto" not in each["mediaType"] for each in document["layers"])
        assert config_of(image)["os"] == "linux"
