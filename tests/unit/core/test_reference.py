"""Image names, short and full, and what is no image name."""

from __future__ import annotations

import pytest

from bundler.core.digest import Digest
from bundler.core.reference import Reference

DIGEST = str(Digest.of(b"x"))


@pytest.mark.parametrize(
    ("written", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox:1", "docker.io/library/busybox:1", "busybox:1"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
        ("team/app:1", "docker.io/team/app:1", "team/app:1"),
        ("docker.io/library/a/b:1", "docker.io/library/a/b:1", "library/a/b:1"),
        ("ghcr.io/team/app", "ghcr.io/team/app", "ghcr.io/team/app"),
        ("localhost/app:1", "localhost/app:1", "localhost/app:1"),
        ("localhost:5000/app", "localhost:5000/app", "localhost:5000/app"),
        ("host:5000/a/b:1.0-x_y", "host:5000/a/b:1.0-x_y", "host:5000/a/b:1.0-x_y"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1", "[::1]:5000/app:1"),
        ("Registry/app:1", "Registry/app:1", "Registry/app:1"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}", f"busybox:1@{DIGEST}"),
    ],
)
def test_names_are_read_as_docker_reads_them(written: str, full: str, familiar: str) -> None:
    reference = Reference.parse(written)
    assert (str(reference), reference.familiar) == (full, familiar)
    assert Reference.parse(full) == Reference.parse(familiar) == reference


@pytest.mark.parametrize(
    "written",
    [
        "",
        ":1.0",
        f"@{DIGEST}",
        "host:5000/",
        "/busybox",
        "busybox/",
        "a//b",
        "busybox:",
        "busybox:-x",
        "busybox:" + "x" * 129,
        "busybox:1:2",
        "Busybox:1",
        "team/App",
        "a b",
        "a_-b",
        "-a",
        "../x",
        "https://ghcr.io/a",
        "ho st.example/a",
        "host:port/a",
        "busybox@sha256:abc",
        f"busybox@{DIGEST.upper()}",
        "busybox@md5:" + "0" * 32,
        f"busybox@{DIGEST}@{DIGEST}",
        "a\n",
        "a" * 300,
    ],
)
def test_malformed_names_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Reference.parse(written)


def test_capitals_and_missing_names_are_told_apart() -> None:
    with pytest.raises(ValueError, match="'Busybox' has capitals"):
        Reference.parse("Busybox:1")
    with pytest.raises(ValueError, match="no image name before its tag"):
        Reference.parse(":1.0")


def test_the_default_tag_is_added_only_where_nothing_is_said() -> None:
    assert str(Reference.parse("busybox").tagged()) == "docker.io/library/busybox:latest"
    assert Reference.parse("busybox:1").tagged().tag == "1"
    assert Reference.parse(f"busybox@{DIGEST}").tagged().tag is None
    assert str(Reference.parse(f"busybox:1@{DIGEST}").without_digest()) == "docker.io/library/busybox:1"
