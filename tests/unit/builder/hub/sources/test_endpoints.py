"""Which servers are asked: the command line's, else the environment's, else the Hub; credentials never shown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bundler.builder.hub.sources.endpoints import HUB, endpoints_of, origin_of, parse_endpoint
from bundler.core.errors import UsageError


def test_the_hub_where_nothing_is_said() -> None:
    assert [each.url for each in endpoints_of([], {})] == [HUB]
    assert [each.url for each in endpoints_of([], {"HF_ENDPOINT": "  "})] == [HUB]


@pytest.mark.parametrize("text", ["https://a.example https://b.example/hf/", "https://a.example,https://b.example/hf"])
def test_several_in_the_environment(text: str) -> None:
    assert [each.url for each in endpoints_of([], {"HF_ENDPOINT": text})] == [
        "https://a.example",
        "https://b.example/hf",
    ]


def test_the_command_line_decides_and_each_is_asked_once() -> None:
    chosen = ["https://b.example/", "https://a.example", "https://B.example"]
    found = endpoints_of(chosen, {"HF_ENDPOINT": "https://c.example"})
    assert [each.url for each in found] == ["https://b.example", "https://a.example"]


def test_a_login_in_the_environment_is_taken_out_of_the_address() -> None:
    (found,) = endpoints_of([], {"HF_ENDPOINT": "https://ann:s%2Fcret@mirror.example/hf"})
    assert found.url == "https://mirror.example/hf"
    assert found.login == ("ann", "s/cret")
    assert "cret" not in repr(found)


@pytest.mark.parametrize(
    "text", ["https://ann:secret@mirror.example", "https://secret@mirror.example", "ftp://x:secret@y"]
)
def test_a_login_on_the_command_line_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="in it") as caught:
        endpoints_of([text], {})
    assert "secret" not in str(caught.value)
    assert "netrc" in caught.value.remedy


@pytest.mark.parametrize(
    "text", ["mirror.example", "ftp://mirror.example", "https://", "https://m.example?a=1", "https://m:x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="not the address"):
        parse_endpoint(text, "--endpoint")


def test_a_secret_in_a_broken_address_of_the_environment_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        endpoints_of([], {"HF_ENDPOINT": "ftp://ann:secret@mirror.example"})
    assert "secret" not in str(caught.value)


def test_origins() -> None:
    assert origin_of("https://A.example/x") == origin_of("https://a.example:443/y") == ("https", "a.example", 443)
    assert origin_of("http://a.example") != origin_of("https://a.example")
    assert origin_of("git@a.example:x") is None


@pytest.mark.parametrize(
    "told", ["http://a.example:9 http://b.example:9", "http://ann:secret@a.example:9", "http://a.example"]
)
def test_the_hubs_client_survives_what_the_environment_says(told: str) -> None:
    """It reads HF_ENDPOINT by itself when it is imported, fails on several, and must not keep a password."""
    program = (
        "import os, bundler.builder.hub.sources.order; from huggingface_hub import constants;"
        "print(constants.ENDPOINT, os.environ['HF_ENDPOINT'], sep='|')"
    )
    environment = {**os.environ, "HF_ENDPOINT": told}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone = told if told == "http://a.example" else HUB
    assert done.stdout.strip() == f"{alone}|{told}"
