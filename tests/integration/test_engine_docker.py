"""The Docker engine against real engines of three versions and both kinds of store."""

from __future__ import annotations

import io
import os
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineRefusedError, connect
from bundler.core.errors import BundleError, EngineError
from bundler.core.reference import Reference
from bundler.installer.engine import FileStat, HeldImage, RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import (
    RunningEngine,
)
from tests.support.docker_engines import Failing, ids_of, load, raw
from tests.support.handmade import HandLayer, entry, file_layer, make_image, make_layer, shell_layer

StartEngine = Callable[..., RunningEngine]
SHELL = shell_layer()
NAME = Reference.parse("registry.test.local:5000/team/app:1")
OTHER_NAME = Reference.parse("docker.io/library/bundler-test:2")


@pytest.fixture
def engine(any_engine: RunningEngine) -> Iterator[DockerEngine]:
    """Each engine in turn; what a test leaves on it is a failure, but for its images, which go."""
    before = ids_of(any_engine)
    yield DockerEngine(connect(any_engine.base_url))
    containers = any_engine.docker("ps", "--all", "--quiet").split()
    volumes = any_engine.docker("volume", "ls", "--quiet").split()
    for image_id in ids_of(any_engine) - before:
        any_engine.docker("image", "rm", "--force", image_id)
    assert (containers, volumes) == ([], [])


@pytest.fixture
def layers() -> list[HandLayer]:
    """Two layers that no other test has."""
    return [file_layer("models/a/weights", secrets.token_bytes(5000)), file_layer("models/b/weights", b"b" * 70_000)]


FLIPPED = BundleError("flipped", where="a test's layer", remedy="none")


def test_facts_are_those_of_the_engine(engine: DockerEngine, any_engine: RunningEngine) -> None:
    facts = engine.facts()
    assert facts.version == any_engine.version
    assert facts.store == ("containerd" if any_engine.store == "containerd" else "graph")
    assert facts.platform == "linux/amd64"
    assert facts.engine_id
    assert facts.engine_id == DockerEngine(connect(any_engine.base_url)).facts().engine_id
    folder = any_engine.data_root if facts.store == "graph" else any_engine.data_root.parent / "containerd"
    assert facts.data_root == folder
    state = os.statvfs(folder)
    assert facts.free_size == pytest.approx(state.f_bavail * state.f_frsize, rel=0.1)


def test_an_image_goes_in_layer_by_layer_and_nameless(
    engine: DockerEngine, any_engine: RunningEngine, layers: list[HandLayer]
) -> None:
    image = make_image(str(NAME), layers)
    assert engine.held(image, set()) == 0
    image_id = load(engine, image, layers)
    assert image_id == engine.id_of(image)
    expected = image.manifest_digest if any_engine.store == "containerd" else image.image_id
    assert image_id == expected
    assert engine.find(image_id) == HeldImage(image_id, image.diff_ids)
    assert engine.find(NAME) is None
    assert engine.held(image, set()) == 2
    engine.forget([engine.id_of(image.prefix(1)), Digest.of(b"never there")])
    assert engine.find(engine.id_of(image.prefix(1))) is None
    with engine.created(image_id) as container:
        assert container.stat("/models/a/weights") == FileStat("file", 5000, 0o644)


def test_a_new_config_over_held_layers_needs_no_layer(engine: DockerEngine, layers: list[HandLayer]) -> None:
    load(engine, make_image(str(NAME), layers), layers)
    changed = make_image(str(NAME), layers, {"Labels": {"changed": "yes"}})
    assert engine.load_layer(changed, None) == engine.id_of(changed)


def test_an_update_sends_only_what_changed_and_can_be_saved_whole(
    engine: DockerEngine, any_engine: RunningEngine, layers: list[HandLayer], tmp_path: Path
) -> None:
    first = make_image(str(NAME), [*layers, file_layer("app", b"1")])
    load(engine, first, [*layers, file_layer("app", b"1")])
    engine.forget(engine.id_of(first.prefix(count)) for count in (1, 2))
    update = [*layers, file_layer("app", secrets.token_bytes(9))]
    second = make_image(str(NAME), update)
    vouched = {layer.blob.digest for layer in first.layers}
    assert engine.held(second, vouched) == 2
    assert engine.held(second, set()) == (2 if engine.facts().store == "graph" else 0)
    load(engine, second, update, since=2)
    engine.set_names({NAME: engine.id_of(second)})
    any_engine.docker("save", "--output", str(tmp_path / "saved.tar"), str(NAME))
    with tarfile.open(tmp_path / "saved.tar") as archive:
        contents = {archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]
    assert {layer.bytes_for(engine.facts().store) for layer in update} <= contents


def test_a_blob_is_not_held_because_its_diff_id_is(docker28_containerd: RunningEngine, layers: list[HandLayer]) -> None:
    engine = DockerEngine(connect(docker28_containerd.base_url))
    image = make_image(str(NAME), layers[:1])
    load(engine, image, layers[:1])
    other = make_image(str(NAME), [make_layer(layers[0].plain[:-1024], level=19)])
    assert other.diff_ids == image.diff_ids
    assert other.layers[0].blob.digest != image.layers[0].blob.digest
    assert engine.held(image, set()) == 1
    assert engine.held(other, set()) == 0
    with pytest.raises(EngineError):
        engine.load_layer(other, None)
    assert engine.find(engine.id_of(other)) is None
    engine.forget([engine.id_of(image)])


@pytest.mark.parametrize("size", [1001, 60_000])
@pytest.mark.parametrize("error", [FLIPPED, KeyboardInterrupt()], ids=["damaged", "interrupted"])
def test_a_load_that_fails_half_way_leaves_nothing_and_the_next_one_works(
    engine: DockerEngine, layers: list[HandLayer], error: BaseException, size: int
) -> None:
    noise = file_layer("models/c", secrets.token_bytes(100_000))
    image = make_image(str(NAME), [layers[0], noise])
    load(engine, image.prefix(1), layers[:1])
    content = noise.bytes_for(engine.facts().store)
    with pytest.raises(type(error)) as raised:
        engine.load_layer(image, cast("BinaryIO", Failing(content, size, error)))
    assert raised.value is error
    assert engine.find(engine.id_of(image)) is None
    assert engine.find(engine.id_of(image.prefix(1))) is not None
    assert load(engine, image, [layers[0], noise], since=1) == engine.id_of(image)


def test_a_layer_whose_content_is_another_is_refused(engine: DockerEngine, layers: list[HandLayer]) -> None:
    image = make_image(str(NAME), layers)
    load(engine, image.prefix(1), layers[:1])
    content = bytearray(raw(engine, layers[1]).read())
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(EngineError):
        engine.load_layer(image, io.BytesIO(bytes(content)))
    assert engine.find(engine.id_of(image)) is None


def test_a_lying_diff_id_is_refused_and_leaves_no_image(
    engine: DockerEngine, any_engine: RunningEngine, layers: list[HandLayer]
) -> None:
    liar = make_layer(entry("models/x", secrets.token_bytes(100)), lie=Digest.of(b"a lie"))
    image = make_image(str(NAME), [layers[0], liar])
    load(engine, image.prefix(1), layers[:1])
    before = ids_of(any_engine)
    with pytest.raises(EngineRefusedError, match=r"(?i)diff ?id"):
        engine.load_layer(image, raw(engine, liar))
    assert ids_of(any_engine) == before


def test_a_layer_that_is_no_tar_is_refused(engine: DockerEngine, any_engine: RunningEngine) -> None:
    noise = make_layer(secrets.token_bytes(5000))
    before = ids_of(any_engine)
    with pytest.raises(BundleError, match="cannot be unpacked, though its digests are right"):
        engine.load_layer(make_image(str(NAME), [noise]), raw(engine, noise))
    assert ids_of(any_engine) == before


def test_a_missing_lower_layer_is_refused(
    engine: DockerEngine, any_engine: RunningEngine, layers: list[HandLayer]
) -> None:
    before = ids_of(any_engine)
    with pytest.raises(EngineError):
        load(engine, make_image(str(NAME), layers), layers, since=1)
    assert ids_of(any_engine) == before


def test_names_are_given_moved_and_taken_away_and_images_stay(
    engine: DockerEngine, any_engine: RunningEngine, layers: list[HandLayer]
) -> None:
    first, second = make_image(str(NAME), layers[:1]), make_image(str(NAME), layers)
    former = load(engine, first, layers[:1])
    latter = load(engine, second, layers, since=1)
    engine.set_names({NAME: former, OTHER_NAME: former})
    assert names_of(engine) == {NAME: former, OTHER_NAME: former}
    engine.set_names({NAME: latter, OTHER_NAME: latter})
    assert names_of(engine) == {NAME: latter, OTHER_NAME: latter}
    assert engine.find(former) is not None
    engine.set_names({OTHER_NAME: None, NAME: former})  # undone
    assert names_of(engine) == {NAME: former, OTHER_NAME: None}
    assert engine.find(latter) is not None
    before = ids_of(any_engine)
    engine.set_names({NAME: None, OTHER_NAME: None})
    assert names_of(engine) == {NAME: None, OTHER_NAME: None}
    assert ids_of(any_engine) == before


def names_of(engine: DockerEngine) -> Mapping[Reference, Digest | None]:
    found = {name: engine.find(name) for name in (NAME, OTHER_NAME)}
    return {name: held.image_id if held else None for name, held in found.items()}


def test_a_digest_is_no_name(engine: DockerEngine, layers: list[HandLayer]) -> None:
    image_id = load(engine, make_image(str(NAME), layers[:1]), layers[:1])
    with pytest.raises(EngineError, match="tags only"):
        engine.set_names({Reference.parse(f"test.local/x@{image_id}"): image_id})


def test_forget_leaves_images_with_a_name_or_a_container(engine: DockerEngine, layers: list[HandLayer]) -> None:
    image_id = load(engine, make_image(str(NAME), layers[:1]), layers[:1])
    engine.set_names({NAME: image_id})
    engine.forget([image_id])
    assert engine.find(NAME) == engine.find(image_id) is not None
    engine.set_names({NAME: None})
    with engine.created(image_id):
        engine.forget([image_id])
        assert engine.find(image_id) is not None
    engine.forget([image_id])
    assert engine.find(image_id) is None


def test_files_links_and_folders_are_seen_without_a_start(engine: DockerEngine) -> None:
    layer = make_layer(
        entry("d", kind=tarfile.DIRTYPE, mode=0o1777),
        entry("d/f", b"content", mode=0o4755),
        entry("d/link", kind=tarfile.SYMTYPE, link="/nowhere"),
        entry("to-d", kind=tarfile.SYMTYPE, link="d"),
        entry("d/fifo", kind=tarfile.FIFOTYPE),
    )
    image_id = load(engine, make_image(str(NAME), [layer], {"Volumes": {"/d": {}}}), [layer])
    with engine.created(image_id) as container:
        kinds = {path: container.stat(path) for path in ("/d", "/d/f", "/d/link", "/to-d", "/d/fifo")}
        assert {path: (stat.kind if stat else None) for path, stat in kinds.items()} == {
            **{"/d": "directory", "/d/f": "file", "/d/link": "link", "/to-d": "link", "/d/fifo": "other"},
        }
        assert kinds["/d/f"] == FileStat("file", 7, 0o4755)
        assert container.stat("/to-d/f") == kinds["/d/f"]
        assert container.stat("/d/none") is None
        with container.archive("/d") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            assert {member.name for member in archive} == {"d", "d/f", "d/link", "d/fifo"}
        with pytest.raises(EngineRefusedError):
            container.archive("/none")


def test_a_command_runs_without_network_privileges_input_or_a_place_to_write(engine: DockerEngine) -> None:
    layer = shell_layer()
    config = {"User": "7:8", "Entrypoint": ["/bin/false"], "Healthcheck": {"Test": ["CMD", "/bin/false"]}}
    image_id = load(engine, make_image(str(NAME), [layer], config), [layer])
    script = "id -u; id -g; ip -o link | cut -d: -f2; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; cat; env"
    result = engine.run(image_id, RunSpec(("sh", "-c", script), timeout_s=120, env={"ASKED": "yes"}))
    assert result.exit_code == 0
    lines = result.output.split()
    assert lines[:3] == ["7", "8", "lo"]
    assert "ASKED=yes" in lines
    assert not [line for line in lines if line.lower().startswith(("http_proxy", "https_proxy"))]
    assert "CapBnd: 0000000000000000" in " ".join(lines)
    assert "NoNewPrivs: 1" in " ".join(lines)
    script = "touch /here && exit 9; echo x >/tmp/there && id -u; echo complaint >&2; exit 3"
    result = engine.run(image_id, RunSpec(("sh", "-c", script), timeout_s=120, user="0"))
    assert result.exit_code == 3
    assert "Read-only file system" in result.output
    assert "complaint" in result.output
    assert "0" in result.output.splitlines()


def test_a_command_that_takes_too_long_is_killed_and_its_output_kept(engine: DockerEngine) -> None:
    image_id = load(engine, make_image(str(NAME), [SHELL]), [SHELL])
    for timeout_s in (1, 10, 60):  # on a busy host it may not have begun when the time is over
        result = engine.run(image_id, RunSpec(("sh", "-c", "trap '' TERM; echo begun; sleep 600"), timeout_s))
        assert result.exit_code is None
        assert timeout_s <= result.seconds < 600
        if result.output:
            break
    assert result.output == "begun\n"


def test_a_command_that_is_not_there_is_a_result(engine: DockerEngine) -> None:
    image_id = load(engine, make_image(str(NAME), [SHELL]), [SHELL])
    assert engine.run(image_id, RunSpec(("nothing",), timeout_s=9)).exit_code == 127
    assert engine.run(image_id, RunSpec(("/bin/none",), timeout_s=9)).exit_code == 127
    assert engine.run(image_id, RunSpec(("/bin",), timeout_s=9)).exit_code == 126
    with pytest.raises(EngineError, match=r"(?i)user"):
        engine.run(image_id, RunSpec(("sh",), timeout_s=9, user="nobody-knows"))


def test_the_end_of_a_flood_is_kept(engine: DockerEngine) -> None:
    image_id = load(engine, make_image(str(NAME), [SHELL]), [SHELL])
    script = "yes 0123456789abcdef0123456789abcdef | head -n 40000; echo END"
    output = engine.run(image_id, RunSpec(("sh", "-c", script), timeout_s=120)).output
    assert len(output) == 1 << 20
    assert output.endswith("\nEND\n")


def test_containers_of_a_killed_run_are_removed_and_those_of_a_living_one_stay(
    engine: DockerEngine, any_engine: RunningEngine
) -> None:
    image_id = load(engine, make_image(str(NAME), [SHELL]), [SHELL])
    script = (
        "import os, sys; from bundler.core.digest import Digest; from bundler.core.docker_api import connect;"
        "from bundler.installer.engines.docker import DockerEngine;"
        f"held = DockerEngine(connect({any_engine.base_url!r})).created(Digest.parse({str(image_id)!r}));"
        "held.__enter__();"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert len(any_engine.docker("ps", "--all", "--quiet").split()) == 1
    with engine.created(image_id) as container:
        assert engine.remove_leftovers() == 1
        assert container.stat("/bin/busybox") is not None
    assert any_engine.docker("ps", "--all", "--quiet").split() == []
