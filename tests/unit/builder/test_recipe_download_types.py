"""Sizes, rates and addresses of a recipe; what may be a password is refused without being repeated."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bundler.builder.recipe_download_types import ByteRate, ByteSize, GitUrl, HttpUrl

SIZE: TypeAdapter[int] = TypeAdapter(ByteSize)
RATE: TypeAdapter[int] = TypeAdapter(ByteRate)
HTTP: TypeAdapter[str] = TypeAdapter(HttpUrl)
GIT: TypeAdapter[str] = TypeAdapter(GitUrl)


def refusal(kind: TypeAdapter[Any], value: object) -> str:
    """What a person reads: the message and the remedy."""
    with pytest.raises(ValidationError) as caught:
        kind.validate_python(value)
    (error,) = caught.value.errors()
    assert error["type"] == "recipe"
    return f"{error['msg']} ({error['ctx']['remedy']})"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("4GB", 4_000_000_000),
        ("4.6GB", 4_600_000_000),
        ("64KiB", 65_536),
        ("512MiB", 536_870_912),
        ("1TB", 10**12),
        ("0.5KiB", 512),
        (72_104, 72_104),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert SIZE.validate_python(text) == size


@pytest.mark.parametrize(
    "value",
    ["4", "4gb", "4 GB", "GB", "-1GB", "0GB", "0.1B", "1e3MB", "", 0, -1, 1.5, True, None, ["1GB"], "9" * 400 + "TB"],
)
def test_what_is_no_size(value: object) -> None:
    assert "64KiB, 512MiB or 4.6GB" in refusal(SIZE, value)


def test_rates_are_sizes_with_or_without_seconds() -> None:
    assert RATE.validate_python("2MB/s") == RATE.validate_python("2MB") == 2_000_000
    for value in ("2MB/m", "/s", "2MB/s/s", 0):
        refusal(RATE, value)


@pytest.mark.parametrize(
    "address",
    [
        "https://mirror.example",
        "http://mirror.example:8080/models/",
        "https://mirror.example/files/model@1.0.bin?download=true",
        "http://[::1]:8080/x",
        "http://127.0.0.1/x",
    ],
)
def test_addresses(address: str) -> None:
    assert HTTP.validate_python(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address", ["mirror.example", "ftp://mirror.example/x", "https://", "https:///x", "https://a b/", 7]
)
def test_what_is_no_address(address: object) -> None:
    refusal(HTTP, address)


@pytest.mark.parametrize(
    "address",
    [
        "https://git.example/models/minilm.git",
        "http://git.example:3000/a",
        "ssh://git@git.example:22/models/minilm.git",
        "ssh://git.example/a",
        "git@git.example:models/minilm.git",
        "git://git.example/a",
        "file:///srv/git/minilm.git",
    ],
)
def test_addresses_of_git(address: str) -> None:
    assert GIT.validate_python(address) == address


@pytest.mark.parametrize(
    "address", ["minilm.git", "../minilm", "https://git.example", "ftp://x/y", "--upload-pack=x", 7]
)
def test_what_is_no_address_of_git(address: object) -> None:
    refusal(GIT, address)


@pytest.mark.parametrize("kind", [HTTP, GIT], ids=["http", "git"])
@pytest.mark.parametrize(
    "address",
    [
        "https://me:geheim@x.example/y",
        "https://geheim@x.example/y",
        "https://me:geh/eim@x.example/y",
        "https://me:geheim@x.example/a://b",
        "https:/me:geheim@x.example/y",
        "me:geheim@x.example/y",
        "me:geheim@x.example:y",
        "ftp://me:geheim@x.example/y",
        "https://me:geheim@x.example /y",
        "ssh://me:geheim@x.example/y",
        "ssh://me:geh/eim@x.example/y",
    ],
)
def test_a_password_is_refused_and_not_repeated(kind: TypeAdapter[str], address: str) -> None:
    told = refusal(kind, address)
    assert "geh" not in told and "eim" not in told
