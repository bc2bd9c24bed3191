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
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from bundler.cli.tables import human_size
from testbed.engines import RunningEngine
from testbed.hub_faults import Fault, Kind
from tests.support.build_site import BuildSite, build_site

STEPS = (
    "check sources",
    "resolve models and images",
    "check disk space",
    "download models",
    "build images with",
    "compose",
    "write the bundle",
    "read the bundle back",
    "rehearse",
    "write the kit",
)
MODEL_SIZE = 6 << 20


@pytest.fixture(scope="module")
def site(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildSite]:
    with build_site(tmp_path_factory.mktemp("progress"), docker20, MODEL_SIZE) as site:
        yield site


@pytest.fixture(scope="module")
def observed(site: BuildSite) -> subprocess.CompletedProcess[str]:
    """A whole build with everything for programs, over a line that takes seconds and fails once."""
    site.hub.faults.add(Fault("/lfs/*", Kind.CUT, times=1, after=2_000_000))  # it goes on from there
    site.hub.faults.add(Fault("/lfs/*", Kind.SLOW, times=None, bytes_per_s=4 << 20))
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
        if seen[-1]["ended"] == "well":
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


def test_a_slow_download_is_heard_of_every_half_second(events: list[dict[str, Any]]) -> None:
    (fetched,) = (seen for label, seen in runs(events) if label == "tiny/model.safetensors")
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
        assert process.wait(60) == 0, shown
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
