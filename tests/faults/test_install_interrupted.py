"""Runs that are killed, cut off or starved in the middle: what stands then, and how the next run takes it up."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from bundler.core.bundle import open_bundle
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.errors import BundleError, EngineError, PreconditionError
from bundler.core.kit import TrustPolicy
from bundler.core.oci import Image
from bundler.core.progress import SilentProgress
from bundler.installer.engines.docker import DockerEngine
from bundler.installer.install import InstallOptions, install
from testbed.engines import DOCKER_20, DOCKER_26_CONTAINERD, DOCKER_28_CONTAINERD, EngineKind, RunningEngine
from tests.bundles import make_bundle
from tests.sites import Site, Standing, require_three_lines, saved, site_at
from tests.stalling_proxy import stalling_proxy
from tests.support.waiting import PATIENCE_S, wait_heard

NAMES = {"bundler-test/service:base", "bundler-test/service:1.0.0"}
MODEL_SIZE = 6 << 20  # more than the sockets on the way hold
#: Places in what is sent of a kit with that model: twice in the model's layer, once in the OS layer.
PLACES = (0.1, 0.6, 0.9)
SOAK_SEED = 20_240_501


@pytest.fixture
def any_site(any_engine: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(any_engine, tmp_path / "state") as site:
        yield site


@pytest.fixture
def site(docker20: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(docker20, tmp_path / "state") as site:
        yield site


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("medium"), model_size=MODEL_SIZE)


def sent_size(site: Site, kit: Path) -> int:
    """About how many bytes a whole install sends: plain layers to a graph driver, stored ones to containerd."""
    layers = {layer.diff_id: layer for image in open_bundle(kit, TrustPolicy()).images for layer in image.layers}
    graph = site.running.kind.store != "containerd"
    return sum(layer.uncompressed_size if graph else layer.blob.size for layer in layers.values())


def stop_in_the_middle(
    site: Site, kit: Path, place: float, how: signal.Signals, *options: str
) -> subprocess.CompletedProcess[str]:
    """Start an install, wait until it has sent that part of what it sends and stands still, and stop it there."""
    limit = int(place * sent_size(site, kit))
    with stalling_proxy(site.host.state.parent, site.running.socket, limit) as proxy:
        process = site.command("install", kit, *options, url=proxy.url)
        assert proxy.stalled.wait(PATIENCE_S), process.communicate(timeout=10)
        assert process.poll() is None
        os.kill(process.pid, how)
        if how != signal.SIGKILL:
            wait_heard(process.pid, how)
            proxy.released.set()
        out, err = process.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def finish(site: Site, kit: Path, before: Standing) -> None:
    """The same command again: the host as after an install that nobody disturbed."""
    done = site.run("install", kit)
    assert done.returncode == 0, done.stderr
    after = site.standing()
    assert set(after.names) - set(before.names) == NAMES
    assert after.images - before.images == {after.names[name] for name in NAMES}
    assert after.containers == before.containers
    assert not any(name.startswith("journals") for name in site.state_files())
    assert site.audit().findings == ()


@pytest.mark.parametrize("place", PLACES)
def test_killed_while_a_layer_streams(any_site: Site, kit: Path, place: float) -> None:
    before = any_site.standing()
    process = stop_in_the_middle(any_site, kit, place, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert set(any_site.standing().names) == set(before.names)
    finish(any_site, kit, before)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(10))
def test_killed_anywhere(any_site: Site, kit: Path, number: int) -> None:
    place = random.Random(SOAK_SEED + number).uniform(0.02, 0.97)
    print(f"seed {SOAK_SEED + number}: killed at {place:.3f}")
    before = any_site.standing()
    stop_in_the_middle(any_site, kit, place, signal.SIGKILL)
    finish(any_site, kit, before)


@pytest.mark.parametrize(
    ("how", "code", "words"), [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, "Interrupted by SIGTERM.")]
)
def test_interrupted_keeps_what_is_verified(site: Site, kit: Path, how: signal.Signals, code: int, words: str) -> None:
    before = site.standing()
    stopped = stop_in_the_middle(site, kit, 0.9, how, "--progress", "none")
    assert stopped.returncode == code
    after = site.standing()
    assert after.names == before.names
    (kept,) = after.images - before.images  # the model's layer, without a name
    assert stopped.stderr.splitlines() == [
        words,
        f"  kept without a name: verified layers, as {kept}"
        " (the same command takes them up, `bundler install --undo` removes them)",
        "where: bundler install",
        "do: run the same command again; it takes up what was begun",
    ]
    with stalling_proxy(site.host.state.parent, site.running.socket, None) as proxy:
        assert site.run("install", kit, url=proxy.url).returncode == 0
        assert 0 < proxy.sent < MODEL_SIZE  # it was not sent again


def test_a_program_is_told_what_an_interrupted_run_keeps(site: Site, kit: Path) -> None:
    before = site.standing()
    stopped = stop_in_the_middle(site, kit, 0.9, signal.SIGTERM, "--json", "--progress", "none")
    (kept,) = site.standing().images - before.images
    assert stopped.stdout == ""
    error = json.loads(stopped.stderr)["error"]
    assert (error["kind"], error["exit_code"]) == ("InterruptedRun", 143)
    assert [(problem["where"], kept in problem["what"]) for problem in error["problems"]] == [
        ("kept without a name", True)
    ]
    assert "install --undo" in error["problems"][0]["do"]


def test_undo_removes_what_was_kept(any_site: Site, kit: Path) -> None:
    before = any_site.standing()
    stop_in_the_middle(any_site, kit, 0.9, signal.SIGKILL)
    assert any_site.standing().images != before.images
    done = any_site.run("install", "--undo")
    assert done.returncode == 0
    assert done.stdout.startswith("removed: sha256:")
    assert any_site.standing() == before
    assert any_site.state_files() == []


def test_what_was_kept_is_pruned_by_someone(any_site: Site, kit: Path) -> None:
    before = any_site.standing()
    stop_in_the_middle(any_site, kit, 0.9, signal.SIGKILL)
    for image_id in any_site.standing().images - before.images:
        any_site.running.docker("rmi", "--force", image_id)
    finish(any_site, kit, before)
    for name in NAMES:
        archive = saved(any_site, name)
        assert set(archive["manifest"][0]["Layers"]) <= set(archive["sizes"])


def test_line_cut_at_the_last_layer(any_site: Site, kit: Path, tmp_path: Path) -> None:
    """The engine is gone in the middle of the last layer of the last image."""
    site = any_site
    before = site.standing()
    with stalling_proxy(tmp_path, site.running.socket, None) as counting:
        whole = counting
        site.run("install", kit, url=whole.url)
        total = whole.sent
    _remove_installed(site, before)
    with stalling_proxy(tmp_path, site.running.socket, total - 2048, cut=True) as proxy:
        engine = DockerEngine(connect(proxy.url))
        with pytest.raises(EngineError) as caught:
            install(kit, engine, site.host, InstallOptions(), SilentProgress())
    assert any("kept without a name" in problem.where for problem in caught.value.problems)
    after = site.standing()
    assert after.names == before.names
    assert after.containers == before.containers
    finish(site, kit, before)


def _remove_installed(site: Site, before: Standing) -> None:
    after = site.standing()
    for name in set(after.names) - set(before.names):
        site.running.docker("rmi", name)


def test_killed_after_names_were_moved(site: Site, tmp_path: Path) -> None:
    """The worst moment: names are moved and the receipt is not yet written. The next run begins from the former state."""
    former = make_bundle(tmp_path / "a", version="0.9.0", app_tag="1.0.0", greeting="hello former")
    site.install(former, into=tmp_path / "srv")
    names = site.standing().names
    kit = make_bundle(tmp_path / "b", greeting="hello new", files={"compose.yaml": b"new\n"})
    script = (
        "import os, sys\n"
        "from bundler.installer import receipts\n"
        "receipts.record = lambda host, receipt: os.kill(os.getpid(), 9)\n"
        "from bundler.__main__ import main\n"
        "main()\n"
    )
    killed = site.run_script(script, "install", kit, "--into", tmp_path / "srv")
    assert killed.returncode == -signal.SIGKILL
    assert site.standing().names != names
    assert (tmp_path / "srv/compose.yaml").read_text() == "new\n"

    site.undo()
    assert site.standing().names == names
    assert (tmp_path / "srv/compose.yaml").read_text() != "new\n"
    assert site.install(former, into=tmp_path / "srv").already

    assert site.run_script(script, "install", kit, "--into", tmp_path / "srv").returncode == -signal.SIGKILL
    assert not site.install(kit, into=tmp_path / "srv").already
    assert (tmp_path / "srv/compose.yaml").read_text() == "new\n"
    assert sorted(path.name for path in (tmp_path / "srv").iterdir()) == ["compose.yaml", "docs"]
    assert site.audit().findings == ()


KILLED_IN_A_PAYLOAD_FILE = """
import os
from bundler.installer import payload
from bundler.__main__ import main

opened = payload.VerifiedBundle.open_payload

def killing(bundle, file):
    stream = opened(bundle, file)
    read, pieces = stream.read, iter(range(3 if file.path == "docs/LICENSE" else 100))
    stream.read = lambda size: read(65536) if next(pieces, None) is not None else os.kill(os.getpid(), 9)
    return stream

payload.VerifiedBundle.open_payload = killing
main()
"""


@pytest.mark.parametrize("former", [False, True], ids=["first", "update"])
def test_killed_while_a_payload_file_is_written(site: Site, tmp_path: Path, former: bool) -> None:
    """Of a file that is not whole, and of the directories that were made for it, nothing may stay."""
    target = tmp_path / "srv" / "service"
    if former:
        site.install(make_bundle(tmp_path / "a", version="0.9.0", greeting="hello former"), into=target)
    files, names = contents(tmp_path / "srv"), site.standing().names
    kit = make_bundle(tmp_path / "b", files={"compose.yaml": b"new\n", "docs/LICENSE": b"new\n" * 100_000})
    assert site.run_script(KILLED_IN_A_PAYLOAD_FILE, "install", kit, "--into", target).returncode == -signal.SIGKILL
    parts = (target / "docs").glob(".LICENSE.*.part")
    assert [path.stat().st_size >= 65536 for path in parts] == [True]

    assert site.run("install", "--undo").returncode == 0
    assert contents(tmp_path / "srv") == files
    assert site.standing().names == names
    assert not any(name.startswith("journals") for name in site.state_files())

    assert site.run_script(KILLED_IN_A_PAYLOAD_FILE, "install", kit, "--into", target).returncode == -signal.SIGKILL
    assert site.run("install", kit, "--into", target).returncode == 0
    assert sorted(path.name for path in target.rglob("*")) == ["LICENSE", "compose.yaml", "docs"]


def contents(directory: Path) -> dict[Path, bytes | None]:
    """All that stands at and below ``directory``: files by their bytes."""
    found = [path for path in (directory, *directory.rglob("*")) if path.exists()]
    return {path: path.read_bytes() if path.is_file() else None for path in found}


def test_another_kit_between(site: Site, kit: Path, tmp_path: Path) -> None:
    """What is kept of one kit is left alone by another one, whether that is installed or refused."""
    before = site.standing()
    stop_in_the_middle(site, kit, 0.9, signal.SIGINT)
    kept = site.standing().images
    other = make_bundle(tmp_path / "other", name="other", model_seed=2)
    site.install(other)
    assert kept <= site.standing().images
    bad = make_bundle(tmp_path / "bad", name="bad", model_seed=3, lying_layer=True)
    with pytest.raises(BundleError):
        site.install(bad)
    assert kept <= site.standing().images
    finish_names = site.run("install", kit)
    assert finish_names.returncode == 0
    after = site.standing()
    assert after.images - before.images == set(after.names.values()) - set(before.names.values())
    assert not any(name.startswith("journals") for name in site.state_files())


def test_kept_layers_of_a_kit_that_is_refused_later_go(site: Site, kit: Path, tmp_path: Path) -> None:
    before = site.standing()
    copy = tmp_path / "copy"
    shutil.copytree(kit, copy)
    stop_in_the_middle(site, copy, 0.9, signal.SIGINT)
    assert site.standing().images != before.images
    (copy / "README.txt").write_text("altered\n")
    with pytest.raises(BundleError):
        site.install(copy)
    assert site.standing() == before
    assert site.state_files() == []


def test_killed_after_the_receipt(any_site: Site, tmp_path: Path) -> None:
    """The receipt ends the run: what comes after it is only tidied up, and nothing is put back."""
    before = any_site.standing()
    kit = make_bundle(tmp_path / "a")
    script = (
        "import os\n"
        "from bundler.installer.journal import Journal\n"
        "Journal.finish = lambda journal, image_ids: os.kill(os.getpid(), 9)\n"
        "from bundler.__main__ import main\n"
        "main()\n"
    )
    assert any_site.run_script(script, "install", kit).returncode == -signal.SIGKILL
    installed = any_site.standing()
    assert set(installed.names) - set(before.names) == NAMES
    assert any(name.startswith("journals") for name in any_site.state_files())
    assert any_site.install(kit).already
    assert any_site.standing() == installed
    assert not any(name.startswith("journals") for name in any_site.state_files())
    assert any_site.audit().findings == ()


def test_two_at_once(site: Site, kit: Path, tmp_path: Path) -> None:
    before = site.standing()
    with stalling_proxy(tmp_path, site.running.socket, MODEL_SIZE // 2) as proxy:
        first = site.command("install", kit, url=proxy.url)
        assert proxy.stalled.wait(PATIENCE_S)
        second = site.run("install", kit)
        assert second.returncode == 10
        assert str(first.pid) in second.stderr
        waiting = site.command("install", kit, "--lock-timeout", str(PATIENCE_S))
        threading.Event().wait(1)
        assert waiting.poll() is None
        first.kill()
        first.communicate(timeout=PATIENCE_S)
        out, err = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 0, err
    assert "is installed" in out
    assert set(site.standing().names) - set(before.names) == NAMES


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_26_CONTAINERD], ids=lambda kind: kind.name)
def test_no_space_is_said_before_anything_is_sent(
    kind: EngineKind, start_engine: Callable[..., RunningEngine], kit: Path, tmp_path: Path
) -> None:
    running = start_engine(kind, size_bytes=64 << 20)
    with site_at(running, tmp_path / "state") as site:
        filler = _fill(running, leave_size=12 << 20)
        before = site.standing()
        with stalling_proxy(tmp_path, running.socket, None) as proxy:
            done = site.run("install", kit, "--progress", "none", url=proxy.url)
            assert proxy.sent == 0
        require_three_lines(done, 10, "MiB are needed")
        assert done.stderr.startswith("the engine's data root has ")
        assert site.state_files() == []
        assert site.standing() == before
        filler.unlink()
        assert site.run("install", kit).returncode == 0


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_26_CONTAINERD], ids=lambda kind: kind.name)
def test_disk_full_in_the_middle(
    kind: EngineKind, start_engine: Callable[..., RunningEngine], kit: Path, tmp_path: Path
) -> None:
    """Someone else fills the disk after the preflight."""
    running = start_engine(kind, size_bytes=96 << 20)
    with site_at(running, tmp_path / "state") as site:
        before = site.standing()
        with stalling_proxy(tmp_path, running.socket, MODEL_SIZE + 200_000) as proxy:
            process = site.command("install", kit, url=proxy.url)
            assert proxy.stalled.wait(PATIENCE_S), process.communicate(timeout=10)
            filler = _fill(running, leave_size=300_000)
            process.kill()
            process.communicate()
        full = site.run("install", kit)
        assert full.returncode == 10, full.stderr
        assert site.standing().names == before.names
        assert site.standing().containers == before.containers
        filler.unlink()
        finish(site, kit, before)


def _fill(running: RunningEngine, leave_size: int) -> Path:
    """Fill the engine's disk until ``leave_size`` bytes are free."""
    root = running.data_root
    state = os.statvfs(root)
    filler = root / "filler"
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, state.f_bavail * state.f_frsize - leave_size)
    return filler


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_full_disk_is_the_engines_own_word(
    kind: EngineKind, start_engine: Callable[..., RunningEngine], kit: Path, tmp_path: Path
) -> None:
    """With preflight passed, the engine itself runs out of space: same code, nothing named, and it can go on."""
    running = start_engine(kind, size_bytes=96 << 20)
    with site_at(running, tmp_path / "state") as site:
        before = site.standing()
        filler: list[Path] = []

        class FillingEngine(DockerEngine):
            """Fills the disk just before the second layer is sent."""

            def load_layer(self, prefix: Image, layer: BinaryIO | None) -> Digest:
                if len(prefix.layers) == 2 and not filler:
                    filler.append(_fill(running, leave_size=300_000))
                return super().load_layer(prefix, layer)

        with pytest.raises(PreconditionError, match="no space left"):
            install(kit, FillingEngine(connect(running.base_url)), site.host, InstallOptions(), SilentProgress())
        after = site.standing()
        assert after.names == before.names
        assert after.containers == before.containers
        assert len(after.images - before.images) == 1
        filler[0].unlink()
        finish(site, kit, before)
