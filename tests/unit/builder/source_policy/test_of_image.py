"""The application's own programs in its layers: which they are, and what hides or replaces them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest

from bundler.builder.compress import Compression
from bundler.builder.engine_part import EnginePart
from bundler.builder.init import init_recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.source_policy.lint import lint_sources
from bundler.builder.source_policy.of_image import is_own, require_clean_images, sources_in
from bundler.builder.source_policy.sources import MOST_BYTES
from bundler.builder.stack import Stack, take_apart
from bundler.builder.staged_blobs import StagedBlob, StagedBlobs
from bundler.core.errors import BuildError, CheckError
from bundler.core.progress import SilentProgress

BAD = b"import nltk\nnltk.download('x')\n"


def layer(files: dict[str, bytes]) -> BinaryIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return io.BytesIO(stream.getvalue())


def names(*layers: dict[str, bytes]) -> list[str]:
    return [source.name for source in sources_in("small:1", map(layer, layers))]


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("app/service/main.py", True),
        ("srv/x.py", True),
        ("entrypoint.sh", True),
        ("usr/src/app/x.py", True),
        ("usr/local/bin/start", True),
        ("home/user/app.py", True),
        ("usr/lib/python3/x.py", False),
        ("usr/bin/tool", False),
        ("usr/local/lib/python3.12/site-packages/x.py", False),
        ("opt/venv/lib/python3.12/site-packages/x.py", False),
        ("etc/init.d/x", False),
        ("app/node_modules/x.py", False),
    ],
)
def test_what_is_the_application(path: str, own: bool) -> None:
    assert is_own(tuple(path.split("/"))) is own


def test_programs_are_taken_and_named_by_image_and_path() -> None:
    files = {"./app/a.py": b"", "app/run": b"#!/bin/sh\n", "app/data.json": b"{}", "app/Dockerfile": b"FROM x\n"}
    assert names(files) == ["small:1:/app/a.py", "small:1:/app/run"]


def test_later_layers_hide_and_replace() -> None:
    first = {"app/a.py": BAD, "app/b.py": BAD, "app/sub/c.py": BAD, "app/d.py": BAD}
    second = {"app/.wh.a.py": b"", "app/b.py": b"x = 1\n", "app/sub/.wh..wh..opq": b"", "app/sub/e.py": b""}
    sources = sources_in("small:1", [layer(first), layer(second)])
    assert [source.name for source in sources] == [f"small:1:/app/{name}" for name in ("b.py", "d.py", "sub/e.py")]
    assert [finding.where for finding in lint_sources(sources).findings] == ["small:1:/app/d.py:2:1"]


def test_a_virtual_environment_is_nobodys_own() -> None:
    assert names({"opt/venv/bin/tool": b"#!/usr/bin/python3\n", "opt/x.py": b""}, {"opt/venv/pyvenv.cfg": b""}) == [
        "small:1:/opt/x.py"
    ]


def test_what_is_too_large_to_read_is_a_finding() -> None:
    (source,) = sources_in("small:1", [layer({"app/a.py": b"#" * (MOST_BYTES + 1)})])
    assert [finding.rule for finding in lint_sources([source]).findings] == ["not-read"]


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(BuildError, match="cannot be read"):
        sources_in("small:1", [io.BytesIO(b"no tar" * 200)])


def stack(name: str, config: dict[str, object], blobs: list[StagedBlob]) -> Stack:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [str(blob.diff_id) for blob in blobs]},
        "history": [{"created_by": f"step {number}"} for number in range(len(blobs))],
    }
    return take_apart(name, json.dumps(document).encode(), [blob.compressed.layer("os") for blob in blobs])


@pytest.mark.parametrize(
    ("program", "environment", "found"),
    [
        (b"import nltk\nnltk.download('x')\n", [], ["small:1:/app/a.py:2:1"]),
        (b"import tiktoken\ntiktoken.get_encoding('x')\n", [], ["small:1:/app/a.py:2:1"]),
        (b"import tiktoken\ntiktoken.get_encoding('x')\n", ["TIKTOKEN_CACHE_DIR=/app/bpe"], []),
    ],
)
def test_only_what_the_application_adds_is_judged_by_what_its_image_says(
    program: bytes, environment: list[str], found: list[str], tmp_path: Path
) -> None:
    staged = StagedBlobs(tmp_path, Compression())
    below = staged.pack(layer({"app/base.py": BAD}), None)
    above = staged.pack(layer({"app/a.py": program, "app/start.sh": b"pip install x\n"}), None)
    init_recipe(tmp_path / "x", "x")
    recipe = load_recipe(tmp_path / "x")
    app = stack("small:1", {"Env": environment, "Cmd": ["python", "/app/a.py"]}, [below, above])
    packed = {blob.diff_id: blob for blob in (below, above)}
    part = EnginePart(stack("small:base", {}, [below]), (app,), None, (), packed)
    problems: list[str] = []
    try:
        require_clean_images(recipe, part, SilentProgress())
    except CheckError as error:
        problems = [problem.where for problem in error.problems]
    assert problems == found


def test_what_an_image_starts_is_judged_whole(tmp_path: Path) -> None:
    staged = StagedBlobs(tmp_path, Compression())
    blob = staged.pack(layer({"app/start.sh": b"pip install x\n", "app/tool.sh": b"pip install x\n"}), None)
    init_recipe(tmp_path / "x", "x")
    app = stack("small:1", {"Entrypoint": ["/app/start.sh"]}, [blob])
    part = EnginePart(stack("small:base", {}, []), (app,), None, (), {blob.diff_id: blob})
    with pytest.raises(CheckError) as caught:
        require_clean_images(load_recipe(tmp_path / "x"), part, SilentProgress())
    assert [problem.where for problem in caught.value.problems] == ["small:1:/app/start.sh:1:1"]
