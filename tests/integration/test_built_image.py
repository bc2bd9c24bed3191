"""What a recipe's images are in an engine: like images that the engine built itself, with their models below."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from bundler.core.bundle import VerifiedBundle
from bundler.core.layout import blob_name
from bundler.core.oci import MANIFEST
from testbed.engines import RunningEngine
from tests.support.build_site import BUSYBOX, REPO, BuildSite, build_site
from tests.support.kit_reading import config_of, image_named, open_whole

pytestmark = pytest.mark.engine
OTHERS = ("sidecar:1", "saved:1", "taken:1", "laid:1", "packed:1")
NAMES = ("small:base", "small:1", "small:2", *OTHERS)
BASE = (
    f"FROM {BUSYBOX}\nRUN mkdir -p /srv && echo os > /srv/os\n"
    "RUN echo 'svc:x:10001:10001::/:/bin/sh' > /etc/passwd\nENV OS=1\nLABEL maker=person\n"
)
APP = (
    "FROM {base}\nWORKDIR /app\nCOPY app.txt main.txt\n"
    "# bundler: allow env-online the finished image says otherwise, whatever stands here\nENV HF_HUB_OFFLINE=0 OWN=yes\nEXPOSE 8080\n"
    'HEALTHCHECK --interval=9s CMD true\nUSER svc\nENTRYPOINT ["cat"]\nCMD ["/app/main.txt"]\n'
)
SECOND = "FROM {base}\nRUN echo two > /srv/two\n"
PREPARED = (
    "mkdir -p /opt/out/sub && cp /app/models/tiny/config.json /opt/out/sub/copy && ln -s sub/copy /opt/out/link"
    " && chown -R 10001:10001 /opt/out && chmod 0750 /opt/out/sub"
)


def recipe_of(registry: str) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "small",
        "version": "1.0.0",
        "platform": "linux/amd64",
        "models": [
            {"name": "tiny", "repo": REPO, "path": "/app/models/tiny"},
            {"name": "cached", "repo": REPO, "path": "/srv/hub", "layout": "hub-cache"},
        ],
        "base": {"dockerfile": "Dockerfile.base", "tag": "small:base"},
        "prepare": [{"name": "derive", "run": PREPARED, "outputs": ["/opt/out"]}],
        "apps": [
            {"dockerfile": "Dockerfile", "tag": "small:1"},
            {"dockerfile": "Dockerfile.2", "tag": "small:2"},
        ],
        "images": [
            {"image": f"{registry}/others/sidecar:1", "from": "registry", "tag": "sidecar:1"},
            {"image": "saved:1", "from": "docker-archive", "path": "saved.tar"},
            {"image": "local:1", "from": "engine", "tag": "taken:1"},
            {"image": "laid:1", "from": "oci-layout", "path": "layout"},
            {"image": "packed:1", "from": "oci-layout", "path": "layout.tar"},
        ],
        "labels": {"team": "search"},
        "environment": {"LOG_LEVEL": "info"},
    }


@dataclass(frozen=True)
class Loaded:
    """A recipe that was built and brought into the engine; ``bundle`` is what its kit says."""

    site: BuildSite
    bundle: VerifiedBundle
    registry: str

    @property
    def engine(self) -> RunningEngine:
        return self.site.engine

    def inspect(self, name: str) -> dict[str, Any]:
        return dict(self.engine.get(f"/images/{name}/json"))

    def history(self, name: str) -> list[dict[str, Any]]:
        """From the lowest."""
        return list(reversed(self.engine.get(f"/images/{name}/history")))  # type: ignore[call-overload, no-any-return]

    def models(self) -> list[str]:
        return [str(layer.diff_id) for layer in self.bundle.images[0].layers if layer.kind == "model"]


@pytest.fixture(scope="module", params=["docker20", "docker28_containerd"])
def loaded(request: pytest.FixtureRequest, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    engine: RunningEngine = request.getfixturevalue(request.param)
    with build_site(tmp_path_factory.mktemp("built"), engine) as site:
        pushed = f"{registry}/others/sidecar:1"
        engine.docker("tag", BUSYBOX, pushed)
        engine.docker("push", "-q", pushed)
        engine.docker("tag", BUSYBOX, "saved:1")
        engine.docker("save", "-o", str(site.recipe / "saved.tar"), "saved:1")
        for kind, name in (("oci", "layout"), ("oci-archive", "layout.tar")):
            argv = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{pushed}"]
            subprocess.run([*argv, f"{kind}:{site.recipe / name}:1"], check=True, capture_output=True, timeout=600)
        engine.docker("rmi", pushed, "saved:1")
        engine.docker("tag", BUSYBOX, "local:1")
        (site.recipe / ".dockerignore").write_text("*.tar\nlayout\n")
        (site.recipe / "recipe.yaml").write_text(json.dumps(recipe_of(registry)))
        (site.recipe / "Dockerfile.base").write_text(BASE)
        (site.recipe / "Dockerfile").write_text(APP.format(base="small:base"))
        (site.recipe / "Dockerfile.2").write_text(SECOND.format(base="small:base"))
        try:
            kit = site.build("--rehearse", "off", "--load")
            yield Loaded(site, open_whole(kit), registry)
        finally:
            held = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
            engine.docker("rmi", "--force", *(name for name in (*NAMES, "local:1") if name in held))


def test_history_and_inspect_read_like_an_image_of_the_engine(loaded: Loaded) -> None:
    """Compared with what the same Dockerfiles give in the same engine, with the same builder."""
    plain_inspect, plain_history = built_by_the_engine(loaded)
    history, inspected = loaded.history("small:1"), loaded.inspect("small:1")
    told = [entry["CreatedBy"] for entry in history]
    assert all(entry["CreatedBy"] or entry["Comment"] == "Imported from -" for entry in history)
    assert told[0].startswith(f"bundler: model tiny {REPO}@") and told[0].endswith(" at /app/models/tiny")
    assert told[1].startswith("bundler: model cached ")
    ours = ("bundler: model ", "bundler: outputs of prepare", "made without a history")
    # The first line of an imported base is the engine's own and says nothing.
    own = [text for text in told[2:] if not text.startswith(ours)]
    assert [text for text in own if text] == [entry["CreatedBy"] for entry in plain_history if entry["CreatedBy"]]
    sizes = {entry["CreatedBy"][:19]: entry["Size"] for entry in history}
    assert sizes["bundler: model tiny"] >= 300_000
    layers = sum(not entry.get("empty_layer") for entry in config_of(image_named(loaded.bundle, "small:1"))["history"])
    assert layers == len(inspected["RootFS"]["Layers"])

    config, plain = inspected["Config"], plain_inspect["Config"]
    for key in ("Cmd", "Entrypoint", "WorkingDir", "User", "ExposedPorts", "Healthcheck", "Volumes", "OnBuild"):
        assert (config.get(key) or None) == (plain.get(key) or None), key
    env = dict(entry.split("=", 1) for entry in config["Env"])
    offline = {
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_XET": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    assert offline.items() <= env.items(), "an image cannot switch the rule off"
    assert (env["PATH"], env["OS"], env["OWN"], env["LOG_LEVEL"]) == ("/bin", "1", "yes", "info")
    assert env["HF_HUB_CACHE"] == "/srv/hub"
    commit = loaded.site.hub.commit(REPO)
    expected = {
        "maker": "person", "team": "search", "tiny.model": f"{REPO}@{commit}", "cached.model": f"{REPO}@{commit}",
        "org.opencontainers.image.title": "small", "org.opencontainers.image.version": "1.0.0",
    }  # fmt: skip
    assert expected.items() <= config["Labels"].items()
    assert "org.opencontainers.image.created" in config["Labels"]
    assert (inspected["Architecture"], inspected["Os"]) == ("amd64", "linux")
    assert inspected["RepoTags"] == ["small:1"]
    shown = json.dumps([inspected, history])
    assert "bundler.invalid" not in shown and "bundler-build" not in shown and "private.tar" not in shown


def built_by_the_engine(loaded: Loaded) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Inspect and history of the app as the engine builds it without bundler."""
    folder = loaded.site.root / "plain"
    folder.mkdir()
    (folder / "app.txt").write_bytes((loaded.site.recipe / "app.txt").read_bytes())
    for name, text in (("plain:base", BASE), ("plain:1", APP.format(base="plain:base"))):
        (folder / "Dockerfile").write_text(text)
        argv = ["docker", "buildx", "build", "--load", "--provenance=false", "-q", "-t", name, str(folder)]
        subprocess.run(argv, env=loaded.engine.environment(), check=True, capture_output=True, timeout=600)
    try:
        return loaded.inspect("plain:1"), loaded.history("plain:1")
    finally:
        loaded.engine.docker("rmi", "plain:1", "plain:base")


def test_a_container_has_the_models_with_the_locked_digests(loaded: Loaded) -> None:
    expected = {
        f"{model.path}/{file.path}": file.sha256.hex for model in loaded.bundle.manifest.models for file in model.files
    }
    lock = json.loads((loaded.site.recipe / "recipe.lock").read_text())
    assert {file["sha256"] for model in lock["models"] for file in model["files"]} <= set(expected.values())
    script = "find /app/models /srv/hub -type f -exec sha256sum {} ';'"
    for name in ("small:base", "small:1", "small:2"):
        printed = loaded.engine.run("--network", "none", "--entrypoint", "sh", name, "-c", script)
        assert {line[66:]: line[:64] for line in printed.splitlines()} == expected
    assert loaded.engine.run("--network", "none", "small:1") == "application\n", "as its user, CMD and WORKDIR say"


def test_models_stand_lowest_and_all_images_share_what_they_can(loaded: Loaded) -> None:
    base, one, two = (loaded.inspect(name)["RootFS"]["Layers"] for name in ("small:base", "small:1", "small:2"))
    assert base[:2] == loaded.models()
    kinds = [[layer.kind for layer in image.layers] for image in loaded.bundle.images[:3]]
    assert kinds[0] == ["model", "model", "os", "os", "os", "derived"]
    assert all(each[: len(base)] == kinds[0] and set(each[len(base) :]) == {"app"} for each in kinds[1:])
    assert one[: len(base)] == base == two[: len(base)]
    assert one[len(base) :] and two[len(base) :] and not set(one[len(base) :]) & set(two[len(base) :])
    with tarfile.open(loaded.bundle.kit.tar) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names)), "nothing stands in the bundle twice"


def test_what_was_prepared_is_in_the_images_and_is_not_computed_again(loaded: Loaded) -> None:
    script = "cat /opt/out/link; readlink /opt/out/link; stat -c '%u:%g %a' /opt /opt/out /opt/out/sub"
    for name in ("small:base", "small:1"):
        printed = loaded.engine.run("--network", "none", "--entrypoint", "sh", name, "-c", script).splitlines()
        assert printed == ['{"hidden_size": 8}', "sub/copy", "0:0 755", "10001:10001 755", "10001:10001 750"]
    again = loaded.site.run("--rehearse", "off")
    assert again.returncode == 0, again.stderr
    assert "unchanged, the outputs are kept" in again.stderr
    derived = [str(layer.diff_id) for layer in loaded.bundle.images[0].layers if layer.kind == "derived"]
    renewed = open_whole(loaded.site.kit).images[0].layers
    assert [str(layer.diff_id) for layer in renewed if layer.kind == "derived"] == derived


def test_images_of_others_travel_byte_for_byte_and_run(loaded: Loaded) -> None:
    sidecar, saved = image_named(loaded.bundle, "sidecar:1"), image_named(loaded.bundle, "saved:1")
    blobs = {layer.blob.digest for layer in sidecar.layers} | {sidecar.image_id}
    manifest = fetched(f"http://{loaded.registry}/v2/others/sidecar/manifests/{sidecar.manifest_digest}")
    assert sidecar.manifest == manifest
    recorded = {image.reference.familiar: image.manifest for image in loaded.bundle.manifest.images}
    assert [recorded[name] for name in ("sidecar:1", "saved:1", "small:base", "small:2")] == ["source", *["ours"] * 3]
    with tarfile.open(loaded.bundle.kit.tar) as archive:
        for digest in blobs:
            member = archive.extractfile(blob_name(digest))
            assert member is not None
            content = member.read()
            assert content == fetched(f"http://{loaded.registry}/v2/others/sidecar/blobs/{digest}")
    with tarfile.open(loaded.site.recipe / "saved.tar") as archive:
        listed = archive.extractfile("manifest.json")
        assert listed is not None
        (entry,) = json.loads(listed.read())
        config = archive.extractfile(entry["Config"])
        assert config is not None
        assert saved.config == config.read()
        contents = [stream.read() for name in entry["Layers"] if (stream := archive.extractfile(name))]
    # A containerd store saves the layer as it was pushed, which is compressed.
    plain = [gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content for content in contents]
    assert [layer.diff_id.hex for layer in saved.layers] == [hashlib.sha256(each).hexdigest() for each in plain]
    for name in OTHERS:
        assert loaded.engine.run("--network", "none", name, "echo", "runs") == "runs\n"
        assert "HF_HUB_OFFLINE" not in json.dumps(loaded.inspect(name)), "it is not ours to change"


def test_images_of_layouts_and_of_the_engine_are_what_they_were(loaded: Loaded) -> None:
    laid, packed = image_named(loaded.bundle, "laid:1"), image_named(loaded.bundle, "packed:1")
    blobs = loaded.site.recipe / "layout" / "blobs" / "sha256"
    listed = json.loads((loaded.site.recipe / "layout" / "index.json").read_bytes())["manifests"]
    assert [entry["digest"] for entry in listed] == [str(laid.manifest_digest)]
    assert (laid.manifest, laid.config) == (packed.manifest, packed.config)
    assert laid.manifest == (blobs / laid.manifest_digest.hex).read_bytes()
    with tarfile.open(loaded.bundle.kit.tar) as archive:
        for digest in {layer.blob.digest for layer in laid.layers} | {laid.image_id}:
            member = archive.extractfile(blob_name(digest))
            assert member is not None and member.read() == (blobs / digest.hex).read_bytes()
    taken, held = image_named(loaded.bundle, "taken:1"), loaded.inspect("local:1")
    assert [str(diff_id) for diff_id in taken.diff_ids] == held["RootFS"]["Layers"]
    lock = json.loads((loaded.site.recipe / "recipe.lock").read_text())
    assert {entry["asked"]: entry["value"] for entry in lock["images"]}["local:1"] == held["Id"]
    stored = loaded.site.root / "local.tar"
    loaded.engine.docker("save", "-o", str(stored), "local:1")
    with tarfile.open(stored) as archive:
        (entry,) = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert archive.extractfile(entry["Config"]).read() == taken.config  # type: ignore[union-attr]


def fetched(address: str) -> bytes:
    accepted = f"{MANIFEST}, application/vnd.docker.distribution.manifest.v2+json, */*"
    with urlopen(Request(address, headers={"Accept": accepted}), timeout=120) as answer:
        content: bytes = answer.read()
    return content


def test_outputs_that_cannot_travel_are_refused_by_name(docker20: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker20) as site:
        recipe = site.recipe / "recipe.yaml"
        text = recipe.read_text()
        bad = (
            "mkdir -p /opt/out && cd /opt/out && mkfifo pipe && ln -s /etc absolute && ln -s ../../away leaves"
            " && touch .wh.gone fine && mkdir -p /opt/real && touch /opt/real/f && ln -s real /opt/way"
        )
        (site.recipe / "Dockerfile.base").write_text(f"FROM {BUSYBOX}\nRUN busybox --install -s /bin || true\n")
        outputs = "/opt/out, /opt/way/f"
        recipe.write_text(text + f"prepare:\n  - {{ name: bad, run: '{bad}', outputs: [ {outputs} ] }}\n")
        done = site.run("--json", "--rehearse", "off")
        assert done.returncode == 5, done.stderr
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        found = {problem["where"]: problem["what"] for problem in error["problems"]}
        assert sorted(found) == [
            "/opt/out/.wh.gone",
            "/opt/out/absolute",
            "/opt/out/leaves",
            "/opt/out/pipe",
            "/opt/way",
        ]
        assert "FIFO" in found["/opt/out/pipe"]
        reaching = "/app/models/tiny, /app/models, /app/models/tiny/onnx"
        recipe.write_text(text + f"prepare:\n  - {{ name: bad, run: 'true', outputs: [ {reaching} ] }}\n")
        done = site.run("--json", "--rehearse", "off")
        assert done.returncode == 3, done.stderr
        told = json.dumps(json.loads(done.stderr.splitlines()[-1])["error"]["problems"])
        for relation in ("at", "above", "below"):
            assert f"is {relation} the model path" in told
    assert docker20.docker("ps", "-aq", "--filter", "label=bundler.build") == ""
