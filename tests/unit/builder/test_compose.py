"""Images as values: the order of layers, history in step, what is kept of the engine's config, and what is not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import PurePosixPath
from typing import Any

import pytest

from bundler.builder.compose import MAX_LAYERS, Foundation, PlacedModel, Release, compose_app, compose_base
from bundler.builder.engine_build.values import PrivateParts, PrivateVariable
from bundler.builder.stack import Stack, take_apart, with_layers, without_private
from bundler.core.digest import Digest
from bundler.core.errors import BuildError
from bundler.core.oci import LAYER_ZSTD, Descriptor, Image, Layer, canonical_json
from bundler.core.reference import Reference

REFERENCE = Reference.parse("example.org/x:1")
CREATED = "2024-01-02T03:04:05Z"
RELEASE = Release("bundle", "1.2", "linux/amd64", CREATED)


def layer(name: str, kind: str = "os") -> Layer:
    return Layer(Digest.of(name.encode()), 1, Descriptor(LAYER_ZSTD, Digest.of(b"z" + name.encode()), 1), kind)


def model(name: str = "m") -> PlacedModel:
    made = dataclasses.replace(layer(name, "model"), model=name)
    return PlacedModel(made, name, f"org/{name}@{'c' * 40}", PurePosixPath(f"/app/models/{name}"))


def engine_image(name: str, history: list[str], config: dict[str, Any] | None = None, **top: object) -> Stack:
    """``history`` names steps; ``-x`` makes no layer."""
    layers = [layer(step) for step in history if not step.startswith("-")]
    entries = [
        {"created": CREATED, "created_by": f"RUN {step}", **({"empty_layer": True} if step[0] == "-" else {})}
        for step in history
    ]
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": config or {},
        "history": entries,
        "rootfs": {"type": "layers", "diff_ids": [str(each.diff_id) for each in layers]},
        **top,
    }
    return take_apart(name, canonical_json(document), layers)


def config_of(image: Image) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(image.config)
    return document


def told(image: Image) -> list[str]:
    return [entry["created_by"].removeprefix("RUN ") for entry in config_of(image)["history"]]


BASE = engine_image("base", ["debian", "-ENV", "apt", "-CMD"])


def test_models_stand_lowest_and_history_stays_in_step() -> None:
    foundation = Foundation((model("a"), model("b")), BASE, layer("derived", "derived"))
    app = engine_image("app", ["debian", "-ENV", "apt", "-CMD", "-WORKDIR", "copy", "-ENTRY"])
    base_image = compose_base(REFERENCE, foundation, RELEASE)
    image = compose_app(REFERENCE, app, foundation, RELEASE)
    assert [each.kind for each in image.layers] == ["model", "model", "os", "os", "derived", "app"]
    assert image.layers[: len(base_image.layers)] == base_image.layers
    models = [f"bundler: model {name} org/{name}@{'c' * 40} at /app/models/{name}" for name in "ab"]
    assert told(image) == [
        *models,
        "debian",
        "-ENV",
        "apt",
        "-CMD",
        "bundler: outputs of prepare",
        "-WORKDIR",
        "copy",
        "-ENTRY",
    ]
    entries = config_of(image)["history"]
    assert [entry["created_by"] for entry in entries if entry.get("empty_layer")] == [
        "RUN -ENV",
        "RUN -CMD",
        "RUN -WORKDIR",
        "RUN -ENTRY",
    ]
    assert len([entry for entry in entries if not entry.get("empty_layer")]) == len(image.layers)
    assert config_of(image)["rootfs"]["diff_ids"] == [str(each) for each in image.diff_ids]
    assert [item["digest"] for item in json.loads(image.manifest)["layers"]] == [
        str(each.blob.digest) for each in image.layers
    ]


def test_the_same_inputs_give_the_same_bytes() -> None:
    def once() -> Image:
        config = {"Env": ["B=1", "A=2"], "Labels": {"z": "1", "a": "2"}}
        foundation = Foundation((model(),), engine_image("base", ["os"], config))
        return compose_base(
            REFERENCE, foundation, dataclasses.replace(RELEASE, labels={"k": "v"}, environment={"E": "1"})
        )

    assert once() == once()


def test_what_is_the_engines_own_is_left_out() -> None:
    config = {
        "Hostname": "c0ffee", "Domainname": "", "AttachStdin": False, "Image": "sha256:1", "User": "app", "Cmd": ["x"], "OnBuild": None,
        "WorkingDir": "/app", "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["NONE"]}, "Shell": ["sh"], "StopSignal": "TERM", "Volumes": {},
    }  # fmt: skip
    extra = {
        "container": "1",
        "container_config": {"Cmd": []},
        "docker_version": "20",
        "id": "1",
        "parent": "sha256:2",
        "moby.buildkit.buildinfo.v1": "e30",
        "author": "me",
        "os.version": "1",
    }
    document = config_of(compose_base(REFERENCE, Foundation((), engine_image("b", ["os"], config, **extra)), RELEASE))
    assert set(document) == {"architecture", "os", "created", "config", "history", "rootfs", "author", "os.version"}
    assert set(document["config"]) == {
        "User",
        "Cmd",
        "WorkingDir",
        "ExposedPorts",
        "Healthcheck",
        "Shell",
        "StopSignal",
        "Env",
        "Labels",
    }
    assert document["created"] == CREATED


def env_of(image: Image) -> dict[str, str]:
    return dict(item.split("=", 1) for item in config_of(image)["config"]["Env"])


def test_the_offline_variables_hold_whatever_image_and_recipe_say() -> None:
    config = {"Env": ["HF_HUB_OFFLINE=0", "PATH=/x", "PYTHONDONTWRITEBYTECODE=0", "HF_HOME=/own", "HF_HUB_CACHE=/mine"]}
    foundation = Foundation((model(),), engine_image("b", ["os"], config), hub_cache=PurePosixPath("/hub"))
    release = dataclasses.replace(
        RELEASE, environment={"TRANSFORMERS_OFFLINE": "0", "HF_HOME": "/recipe", "NEW": "a=b"}
    )
    found = env_of(compose_base(REFERENCE, foundation, release))
    assert {
        found[name]
        for name in (
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HF_DATASETS_OFFLINE",
            "DO_NOT_TRACK",
            "HF_HUB_DISABLE_TELEMETRY",
        )
    } == {"1"}
    assert found["PATH"] == "/x"
    assert found["PYTHONDONTWRITEBYTECODE"] == "0", "the image's own choice"
    assert (found["HF_HUB_DISABLE_XET"], found["ORT_DISABLE_TELEMETRY"]) == ("1", "1")
    assert (found["HF_HOME"], found["NEW"], found["HF_HUB_CACHE"]) == ("/recipe", "a=b", "/mine")
    assert (
        env_of(compose_base(REFERENCE, Foundation((), BASE, hub_cache=PurePosixPath("/hub")), RELEASE))["HF_HUB_CACHE"]
        == "/hub"
    )


def test_labels_say_what_is_inside() -> None:
    config = {"Labels": {"org.opencontainers.image.version": "22.04", "own": "1", "m.model": "wrong"}}
    release = dataclasses.replace(
        RELEASE, labels={"org.opencontainers.image.title": "Mine", "own": "2", "m.model": "wrong"}
    )
    image = compose_base(REFERENCE, Foundation((model(),), engine_image("b", ["os"], config)), release)
    assert config_of(image)["config"]["Labels"] == {
        "org.opencontainers.image.version": "1.2",
        "org.opencontainers.image.title": "Mine",
        "org.opencontainers.image.created": CREATED,
        "own": "2",
        "m.model": f"org/m@{'c' * 40}",
    }


def test_an_app_that_is_not_from_the_base_is_refused() -> None:
    for history in (["other", "apt"], ["debian"], ["copy", "debian", "apt"], []):
        with pytest.raises(BuildError, match="not FROM the base") as caught:
            compose_app(REFERENCE, engine_image("app", history), Foundation((), BASE), RELEASE)
        assert "FROM base" in caught.value.remedy


def test_what_came_in_by_private_parents_is_left_out() -> None:
    config = {"Env": ["PATH=/bin", "SSL_CERT_FILE=/private", "CURL=/private", "PIP_CERT=/mine"]}
    stack = engine_image("app", ["os", "-x", "skeleton", "-ca env", "copy"], config)
    variables = (
        PrivateVariable("SSL_CERT_FILE", "/private", None),
        PrivateVariable("CURL", "/private", "/before"),
        PrivateVariable("PIP_CERT", "/private", None),
    )
    found = without_private(stack, PrivateParts((layer("skeleton").diff_id,), (2, 3), variables))
    assert [step.told for step in found.steps] == ["RUN os", "RUN -x", "RUN copy"]
    assert [each.diff_id for each in found.layers] == [layer("os").diff_id, layer("copy").diff_id]
    assert found.config["Env"] == ["PATH=/bin", "CURL=/before", "PIP_CERT=/mine"]
    assert without_private(stack, PrivateParts()) == stack


def test_a_layer_is_replaced_wherever_it_stands() -> None:
    new = layer("rewritten")
    found = with_layers(BASE, {layer("apt").diff_id: new})
    assert found.layers == (layer("debian"), new)
    assert len(found.steps) == len(BASE.steps)


def test_an_image_without_history_gets_an_entry_for_each_layer() -> None:
    layers = [layer("a"), layer("b")]
    rootfs = {"diff_ids": [str(each.diff_id) for each in layers]}
    for history in (None, [], [{"created_by": "only one"}], "odd"):
        document = {"os": "linux", "architecture": "amd64", "config": None, "rootfs": rootfs, "history": history}
        stack = take_apart("imported", canonical_json(document), layers)
        image = compose_base(REFERENCE, Foundation((model(),), stack), RELEASE)
        assert len(config_of(image)["history"]) == 3


def test_layers_that_are_not_the_configs_are_refused() -> None:
    document = canonical_json({"rootfs": {"diff_ids": [str(layer("a").diff_id)]}})
    for layers in ([], [layer("b")], [layer("a"), layer("b")]):
        with pytest.raises(BuildError, match="not those of the image's config"):
            take_apart("x", document, layers)


def test_more_layers_than_an_engine_takes_are_refused() -> None:
    def image(count: int) -> Image:
        return compose_base(
            REFERENCE, Foundation((model(),), engine_image("b", [f"s{n}" for n in range(count)])), RELEASE
        )

    assert len(image(MAX_LAYERS - 1).layers) == 125
    with pytest.raises(BuildError, match=r"126 layers \(1 model, 125 os\)"):
        image(MAX_LAYERS)


def test_the_platform_is_the_recipes() -> None:
    arm = engine_image("b", ["os"], architecture="arm64", variant="v8")
    assert (
        compose_base(REFERENCE, Foundation((), arm), dataclasses.replace(RELEASE, platform="linux/arm64")).platform
        == "linux/arm64"
    )
    with pytest.raises(BuildError, match="linux/arm64"):
        compose_base(REFERENCE, Foundation((), arm), RELEASE)
