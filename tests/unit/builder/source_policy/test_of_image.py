"""The application's own programs in its layers: which they are, and what hides or replaces them."""

from __future__ import annotations

import io
import tarfile
from typing import BinaryIO

import pytest

from bundler.builder.source_policy.lint import lint_sources
from bundler.builder.source_policy.of_image import is_own, sources_in
from bundler.builder.source_policy.sources import MOST_BYTES
from bundler.core.errors import BuildError

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
