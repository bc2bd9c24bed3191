"""Commands over an OS image and models, offline, and what of their outputs becomes a layer."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from bundler.builder.engine_build.values import BuiltImage, PrivateParts
from bundler.builder.layer import Entry, layer_chunks, with_parents
from bundler.builder.model_tree import ModelTree, TreeFile
from bundler.builder.prepare import Preparation, Prepared, prepare
from bundler.builder.recipe import PrepareSpec
from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient, connect
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.progress import SilentProgress
from testbed.engines import RunningEngine

IMAGE = "prepare:base"
MODEL = PurePosixPath("/app/models/minilm")


@dataclass
class Bench:
    engine: RunningEngine
    client: EngineClient
    tmp: Path
    token: str = "test"
    image: BuiltImage = field(init=False)

    def __post_init__(self) -> None:
        identity = self.engine.docker("inspect", "--format", "{{.Id}}", IMAGE).strip()
        self.image = BuiltImage(IMAGE, identity, (), PrivateParts())

    def tree(self, content: bytes = b"weights") -> ModelTree:
        source = self.tmp / "snapshot" / "model.bin"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        source.chmod(0o600)
        files = (
            TreeFile("model.bin", len(content), Digest.of(content), source),
            TreeFile("refs/main", 4, Digest.of(b"main"), b"main"),
        )
        return ModelTree("minilm", MODEL, 0, 0, files, ("blobs",))

    def run(self, command: str, *outputs: str, content: bytes = b"weights", user: str | None = None) -> Prepared:
        spec = PrepareSpec(
            name="cache",
            run=("/bin/sh", "-c", command),
            outputs=tuple(PurePosixPath(output) for output in outputs),
            env={"WORD": "given"},
            user=user,
        )
        wanted = Preparation((spec,), self.image, (self.tree(content),), {"HF_HUB_OFFLINE": "1"}, self.token)
        return prepare(self.client, wanted, self.tmp / "cache", SilentProgress())


@pytest.fixture(params=["docker20", "docker28_containerd"])
def bench(
    request: pytest.FixtureRequest, busybox: Callable[[RunningEngine, str], str], tmp_path: Path
) -> Iterator[Bench]:
    engine: RunningEngine = request.getfixturevalue(request.param)
    busybox(engine, "busybox:1.36")
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:1.36\nRUN mkdir -p /srv/own && chown 1000:1001 /srv/own && chmod 0750 /srv/own\n"
        "USER 1000:1001\nENTRYPOINT [\"/bin/false\"]\n"
    )  # fmt: skip
    engine.docker("build", "-q", "-t", IMAGE, str(tmp_path))
    yield Bench(engine, connect(engine.base_url), tmp_path)
    assert engine.docker("ps", "-aq", "--filter", "label=bundler.build") == ""
    engine.docker("rmi", IMAGE)


def by_name(prepared: Prepared) -> dict[str, Entry]:
    return {entry.name: entry for entry in prepared.entries}


def test_outputs_become_entries_with_their_owners(bench: Bench) -> None:
    command = (
        f"mkdir -p /srv/own/out/sub && cp {MODEL}/model.bin /srv/own/out/copy && ln /srv/own/out/copy /srv/own/out/hard"
        " && ln -s ../copy /srv/own/out/sub/link && chmod 0700 /srv/own/out/sub"
        " && echo $WORD $HF_HUB_OFFLINE $(id -u) > /srv/own/out/said"
    )
    found = by_name(bench.run(command, "/srv/own/out"))
    assert list(found) == [
        "srv", "srv/own", "srv/own/out", "srv/own/out/copy", "srv/own/out/hard",
        "srv/own/out/said", "srv/own/out/sub", "srv/own/out/sub/link",
    ]  # fmt: skip
    parent = found["srv/own"]
    assert (parent.kind, parent.mode, parent.uid, parent.gid) == ("directory", 0o750, 1000, 1001)
    assert (found["srv"].uid, found["srv"].mode) == (0, 0o755)
    assert found["srv/own/out/sub"].mode == 0o700
    assert (found["srv/own/out/sub/link"].kind, found["srv/own/out/sub/link"].target) == ("symlink", "../copy")
    copy, hard = found["srv/own/out/copy"], found["srv/own/out/hard"]
    assert copy.kind == hard.kind == "file" and copy.sha256 == hard.sha256 == Digest.of(b"weights")
    said = found["srv/own/out/said"]
    assert isinstance(said.source, Path) and said.source.read_text() == "given 1 1000\n" and said.uid == 1000
    # They make a layer as they are.
    whole = b"".join(layer_chunks(with_parents(found.values())))
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        assert archive.getnames() == list(found)


def test_there_is_no_network_and_models_are_read_only(bench: Bench) -> None:
    command = f"ls /sys/class/net > /srv/own/net; touch {MODEL}/x 2>/srv/own/why; cat {MODEL}/refs/main >/srv/own/ref"
    found = by_name(bench.run(command, "/srv/own/net", "/srv/own/why", "/srv/own/ref", user="0:0"))
    texts = {name: entry.source.read_text() for name, entry in found.items() if isinstance(entry.source, Path)}
    assert texts["srv/own/net"] == "lo\n"
    assert "Read-only file system" in texts["srv/own/why"]
    assert texts["srv/own/ref"] == "main"
    assert (bench.tmp / "snapshot" / "model.bin").read_bytes() == b"weights"


def test_unchanged_is_not_run_again(bench: Bench) -> None:
    first = bench.run("date +%s%N > /srv/own/now", "/srv/own/now")
    again = bench.run("date +%s%N > /srv/own/now", "/srv/own/now")
    assert (first.ran, again.ran) == (True, False)
    assert first.entries == again.entries
    assert bench.run("date +%s%N > /srv/own/now", "/srv/own/now", content=b"others").ran
    assert bench.run("date -u +%s%N > /srv/own/now", "/srv/own/now").ran


def test_a_kept_output_that_changed_on_disk_is_made_again(bench: Bench) -> None:
    first = bench.run("echo text > /srv/own/out", "/srv/own/out")
    kept = by_name(first)["srv/own/out"].source
    assert isinstance(kept, Path)
    kept.write_text("tampered")
    again = bench.run("echo text > /srv/own/out", "/srv/own/out")
    assert again.ran and again.entries == first.entries and kept.read_text() == "text\n"


def test_what_cannot_travel_is_refused_by_name_and_all_at_once(bench: Bench) -> None:
    command = (
        "mkdir /srv/own/out && cd /srv/own/out && mkfifo fifo && ln -s /etc/passwd absolute && ln -s ../../x leaves"
        " && touch .wh.gone && mknod device c 1 3 && ln -s .. up"
    )
    with pytest.raises(BuildError) as caught:
        bench.run(command, "/srv/own/out", user="0:0")
    found = {problem.where.rpartition("/")[2]: problem.what for problem in caught.value.problems}
    assert sorted(found) == [".wh.gone", "absolute", "device", "fifo", "leaves", "up"]
    assert "FIFO" in found["fifo"] and "device" in found["device"] and "absolute link" in found["absolute"]


def test_an_output_that_is_a_link_or_missing(bench: Bench) -> None:
    with pytest.raises(BuildError, match="did not write /srv/own/none"):
        bench.run("true", "/srv/own/none")
    with pytest.raises(BuildError) as caught:
        bench.run("ln -s /etc /srv/own/out", "/srv/own/out")
    assert "link" in caught.value.problems[0].what
    with pytest.raises(BuildError) as caught:
        bench.run("mkdir /srv/own/real && touch /srv/own/real/f && ln -s real /srv/own/way", "/srv/own/way/f")
    assert caught.value.problems[0].where == "/srv/own/way"


@pytest.mark.parametrize("output", ["/app/models/minilm", "/app", "/app/models/minilm/onnx"])
def test_outputs_reach_no_model(bench: Bench, output: str) -> None:
    with pytest.raises(BuildError, match="the model path"):
        bench.run("true", output)


def test_a_failing_command_shows_the_end_of_its_output(bench: Bench) -> None:
    with pytest.raises(BuildError, match="exit code 3") as caught:
        bench.run("echo to-the-one; echo to-the-other >&2; printf unfinished; exit 3", "/srv/own/out")
    assert {problem.what for problem in caught.value.problems} == {"to-the-one", "to-the-other", "unfinished"}
    with pytest.raises(BuildError, match="cannot be started"):
        bench.run("true", "/srv/own/out", user="nobody-here")


def test_an_engine_elsewhere_sees_no_models(bench: Bench) -> None:
    bench.client.address = "tcp://192.0.2.1:2376"
    with pytest.raises(PreconditionError, match="another machine"):
        bench.run("true", "/srv/own/out")
