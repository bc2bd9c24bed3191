"""What a build shows while it runs and at its end: for people on a terminal, in logs, and for programs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from bundler.cli.tables import human_size
from testbed.engines import RunningEngine
from testbed.hub_faults import Fault, Kind
from tests.support.build_site import BuildSite, build_site
from tests.support.watched_build import STEPS

MODEL_SIZE = 6 << 20


@pytest.fixture(scope="module")
def site(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildSite]:
    with build_site(tmp_path_factory.mktemp("progress"), docker20, MODEL_SIZE) as site:
        yield site


@pytest.fixture(scope="module")
def observed(site: BuildSite) -> subprocess.CompletedProcess[str]:
    """A whole build with everything for programs, over a line that takes seconds and fails once."""
    site.hub.faults.add(Fault("/lfs/*", Kind.CUT, times=1, after=2_000_000))  # it goes on from there
    site.hub.faults.add(Fault("/lfs/*", Kind.SLOW, times=None, bytes_per_s=1 << 20))
    done = site.run("--progress", "json", "--json")
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def events(observed: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in observed.stderr.splitlines()]


@pytest.fixture(scope="module")
def stated(observed: subprocess.CompletedProcess[str], site: BuildSite) -> dict[str, Any]:
    """What the bundle says of itself."""
    document: dict[str, Any] = json.loads((site.kit / "head" / "bundle.json").read_bytes())
    return document


def test_every_step_has_its_event_in_its_order(events: list[dict[str, Any]]) -> None:
    titles = [event["title"] for event in events if event["event"] == "step"]
    found = [step for title in titles for step in STEPS if title.startswith(step) and ":" not in title]
    assert found == list(STEPS)
    assert {event["event"] for event in events} == {"step", "note", "task"}


def test_no_task_runs_backwards_or_passes_its_total(events: list[dict[str, Any]]) -> None:
    tasks = runs(events)
    assert len(tasks) >= 10
    for label, seen in tasks:
        amounts = [event["done"] for event in seen]
        assert amounts == sorted(amounts), label
        assert amounts[0] == 0, label
        assert len({event["total"] for event in seen}) == 1, label
        assert all(event["total"] is None or 0 <= event["done"] <= event["total"] for event in seen), label
        assert [event.get("ended") for event in seen][:-1] == [None] * (len(seen) - 1), label
        if seen[-1]["ended"] == "well" and seen[-1]["total"] is not None:
            assert seen[-1]["done"] == seen[-1]["total"], f"{label} ended before its total"


def runs(events: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The events of each task, from its beginning to its end; tasks of one label follow each other."""
    tasks: dict[str, list[list[dict[str, Any]]]] = {}
    for event in events:
        if event["event"] == "task":
            found = tasks.setdefault(event["label"], [])
            if not found or "ended" in found[-1][-1]:
                found.append([])
            found[-1].append(event)
    return [(label, seen) for label, found in tasks.items() for seen in found]


NOISE_SIZE = 40 << 20


def test_every_long_step_of_an_engine_is_heard_of(
    docker20: RunningEngine, registry: str, tmp_path: Path, busybox: Callable[[RunningEngine, str], str]
) -> None:
    """A parent that is pulled, a step that says nothing for seconds, and tens of MB that are exported and packed."""
    parent = f"{registry}/team/noise:1"
    push_noise(docker20, busybox(docker20, "busybox:1.36"), parent)
    with build_site(tmp_path, docker20) as site:
        (site.recipe / "Dockerfile.base").write_text(f"FROM {parent}\nRUN sleep 7\n")
        done = site.run("--rehearse", "off", "--progress", "json", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert any(re.fullmatch(r"small:base: still at RUN sleep 7 \([1-9]\d* s\)", note) for note in notes), "\n".join(
        notes
    )
    tasks = dict(runs(events))
    (pulled,) = (seen for label, seen in tasks.items() if label.startswith(f"pull {registry}/team/noise@sha256:"))
    exported, scanned = tasks["layers out of the engine"], tasks["look into the layers"]
    for seen in (pulled, exported, scanned):
        assert seen[-1]["ended"] == "well" and seen[-1]["done"] >= NOISE_SIZE
    assert scanned[-1]["done"] == scanned[-1]["total"]


def push_noise(engine: RunningEngine, below: str, name: str) -> None:
    """An image with a layer that packs to nothing smaller, in the registry and no longer in the engine."""
    command = f"head -c {NOISE_SIZE} /dev/urandom > /noise"
    container = engine.docker("create", below, "sh", "-c", command).strip()
    engine.docker("start", "--attach", container)
    engine.docker("commit", container, name)
    engine.docker("rm", container)
    engine.docker("push", "--quiet", name)
    engine.docker("rmi", name)


def test_a_slow_download_is_heard_of_every_half_second(events: list[dict[str, Any]]) -> None:
    (fetched,) = (seen for label, seen in runs(events) if label == "tiny")
    assert fetched[-1]["ended"] == "well"
    assert any(0 < event["done"] < MODEL_SIZE for event in fetched)


def test_the_object_at_the_end_is_the_kit(
    observed: subprocess.CompletedProcess[str], stated: dict[str, Any], site: BuildSite
) -> None:
    result = json.loads(observed.stdout)
    assert observed.stdout.count("\n") == 1
    assert Path(result["kit"]) == site.kit
    assert result["title"] == site.kit.name
    assert result["kit_size"] == sum(path.stat().st_size for path in site.kit.rglob("*") if path.is_file())
    assert [image["image_id"] for image in result["images"]] == [image["image_id"] for image in stated["images"]]
    assert result["models"] == [
        {
            "name": "tiny",
            "repo_id": "acme/tiny",
            "commit": site.hub.commit("acme/tiny"),
            "size": sum(file["size"] for file in stated["models"][0]["files"]),
        }
    ]
    assert result["rehearsal"] == "full"
    assert all(check["passed"] for check in result["checks"])
    assert len(result["seconds"]) == len(STEPS)
    assert all(title.startswith(step) for title, step in zip(result["seconds"], STEPS, strict=True))


def test_lines_go_to_a_log_and_the_table_to_the_result(site: BuildSite, stated: dict[str, Any]) -> None:
    done = site.run("--rehearse", "off", "--progress", "lines")
    assert done.returncode == 0, done.stderr
    titles = [line[3:] for line in done.stderr.splitlines() if line.startswith("== ")]
    assert [step for title in titles for step in STEPS if title.startswith(step)] == list(STEPS)
    assert "rehearsal: off" in done.stderr
    assert not re.search(r"[\r\x1b]", done.stderr)
    require_table(done.stdout, site)


def require_table(text: str, site: BuildSite) -> None:
    """Every figure of the table against the kit."""
    bundle = json.loads((site.kit / "head" / "bundle.json").read_bytes())
    blocks = [list(lines) for filled, lines in groupby(text.splitlines(), key=bool) if filled]
    images, models, steps, end = blocks
    assert images[0].split() == ["IMAGE", "LAYERS", "RAW", "COMPRESSED"]
    for line, image in zip(images[1:], bundle["images"], strict=True):
        raw = human_size(sum(layer["uncompressed_size"] for layer in image["layers"]))
        packed = human_size(sum(layer["size"] for layer in image["layers"]))
        name = image["reference"].removeprefix("docker.io/library/")
        assert line.split() == [name, str(len(image["layers"])), *raw.split(), *packed.split()]
    model = bundle["models"][0]
    size = human_size(sum(file["size"] for file in model["files"]))
    origin = f"{model['repo_id']}@{model['commit'][:12]}"
    assert models[1].split() == ["tiny", origin, "/app/models/tiny", *size.split()]
    assert len(models) == 2
    assert steps[0].split() == ["STEP", "TIME"]
    assert all(line.startswith(step) for line, step in zip(steps[1:], STEPS, strict=True))
    kit_size = human_size(sum(path.stat().st_size for path in site.kit.rglob("*") if path.is_file()))
    assert end[0] == f"kit: {site.kit} ({kit_size})"
    assert f"{site.kit.name}/bundler.pyz install {site.kit.name}" in end[1]


@pytest.mark.parametrize("columns", [100, 0])
def test_a_terminal_gets_a_bar(site: BuildSite, columns: int) -> None:
    """Standard error is a terminal, standard output a file: each gets what is meant for it. Some have no width."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    result = site.root / "result.txt"
    with result.open("wb") as sink:
        process = subprocess.Popen(
            site.command("--rehearse", "off"), env=site.environment(), stdout=sink, stderr=terminal
        )
        os.close(terminal)
        shown = read_all(controller).decode()
        assert process.wait() == 0, shown
    assert re.search(r"\rmodel tiny: +\d+%\|.*\|", shown), shown
    assert "== write the bundle" in shown
    numbers = [int(found) for found in re.findall(r"\rmodel tiny: +(\d+)%", shown)]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 100
    require_table(result.read_text(), site)


def read_all(descriptor: int) -> bytes:
    """All that is shown on the terminal until its last writer has gone."""
    content = b""
    try:
        while piece := os.read(descriptor, 65536):
            content += piece
    except OSError:  # EIO is how Linux says that nobody writes any more
        pass
    finally:
        os.close(descriptor)
    return content
