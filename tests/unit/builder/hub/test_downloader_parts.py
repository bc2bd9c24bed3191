"""The small parts of the downloaders: origins, pace, hashing behind a writer, a child that can be ended, the choice."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloaders.child import run_child
from bundler.builder.hub.downloaders.choose import Chosen
from bundler.builder.hub.downloaders.hashing import HashingBehind, Remembered
from bundler.builder.hub.downloaders.pace import Pace
from bundler.builder.hub.downloaders.proxies import is_signed, proxy_for, require_spoken_proxies, same_origin, told
from bundler.builder.hub.limits import HaltedError, Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.retry import RetryPolicy, TransientError
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile
from bundler.core.errors import DownloadError

QUICK = RetryPolicy(timeout_s=1, stall_window_s=0.5)


@pytest.mark.parametrize(
    ("first", "then", "same"),
    [
        ("https://hub.example/a", "https://hub.example:443/b", True),
        ("https://hub.example/a", "https://cdn.example/b", False),
        ("http://127.0.0.1:8000/a", "http://127.0.0.1:8001/b", False),
        ("https://hub.example/a", "http://hub.example/a", False),
        ("http://hub.example/a", "https://hub.example/a", True),
        ("http://hub.example:8080/a", "https://hub.example/a", False),
        ("https://hub.example/a", "https://hub.example.evil.example/a", False),
    ],
)
def test_who_may_be_told_the_same(first: str, then: str, same: bool) -> None:
    assert same_origin(first, then) is same


def test_an_address_is_told_without_what_opens_it() -> None:
    assert told("https://ann:pw@h.example:8443/p/f?X-Amz-Signature=1") == "https://h.example:8443/p/f"
    assert is_signed("https://h.example/f?X-Amz-Signature=1")
    assert not is_signed("https://h.example/f?download=true")


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:3128")
    assert proxy_for("https://hub.example/x") == "http://proxy.corp:3128"
    monkeypatch.setenv("NO_PROXY", "hub.example")
    assert proxy_for("https://hub.example/x") is None
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.corp:1080")
    with pytest.raises(DownloadError, match="socks5"):
        proxy_for("https://other.example/x")


def test_a_pace_counts_the_time_of_waiting_alone() -> None:
    pace = Pace(RetryPolicy(stall=1000, stall_window_s=10), "cdn.example")
    for _ in range(100):
        pace.heard(1000, 0.9)
    with pytest.raises(TransientError, match=r"cdn\.example sends next to nothing"):
        for _ in range(20):
            pace.heard(1, 1.0)


def test_hashing_follows_the_writer_and_goes_on_in_another_attempt(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    file = LockedFile(path="w", size=len(content), sha256=hashlib.sha256(content).hexdigest(), git_sha1=None)
    path, remembered, ready = tmp_path / "w", Remembered(), 0
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    with HashingBehind(descriptor, remembered.of(file, b"n", 0), lambda: ready):
        ready = 1_000_000
        while remembered.of(file, b"n", ready).size < ready:
            time.sleep(0.01)
    assert remembered.of(file, b"n", 2_000_000).size == 1_000_000, "taken up by the next attempt"
    with HashingBehind(descriptor, remembered.of(file, b"n", 2_000_000), lambda: ready) as hashing:
        ready = len(content)
        assert hashing.finish().fit()
    assert remembered.of(file, b"n", 500).size == 0, "less is here than was hashed: begun anew"
    with (
        pytest.raises(OSError, match="shorter"),
        HashingBehind(descriptor, Digests(file), lambda: len(content) + 1) as hashing,
    ):
        hashing.finish()
    os.close(descriptor)


def test_a_child_tells_its_steps_and_gets_its_job_by_standard_input() -> None:
    steps: list[int] = []
    run_child(
        "it",
        "told(0)\nassert 'pw' not in ' '.join(sys.argv)\ntold(job['n'])",
        {"n": 5, "t": "pw"},
        limits(RetryPolicy()),  # the hasty one takes a slow end for a standstill
        steps.append,
    )
    assert sum(steps) == 5


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (
            "raise OSError('no route (https://cdn.example/x?Signature=secret)')",
            r"^it: OSError: no route \(https://cdn.example/x\)$",
        ),
        ("import os; os._exit(3)", "it: ended with 3"),
        ("import time; told(0); time.sleep(30)", r"it brought 0 bytes in 0\.5 s"),
        ("import time\ntold(0)\nwhile True:\n    told(1)\n    time.sleep(0.1)", r"it brought \d+ bytes in 0\.5 s"),
    ],
)
def test_a_child_that_fails_or_crawls_is_ended(program: str, sentence: str) -> None:
    with pytest.raises(TransientError, match=sentence):
        run_child("it", program, {}, limits(), lambda _: None)


def test_a_child_is_ended_with_the_run() -> None:
    shared = limits(RetryPolicy())
    threading.Timer(0.5, shared.halt.set).start()
    began = time.monotonic()
    with pytest.raises(HaltedError):
        run_child("it", "import time; told(0); time.sleep(600)", {}, shared, lambda _: None)
    assert time.monotonic() - began < 60


def limits(policy: RetryPolicy = QUICK, rate: int | None = None) -> Limits:
    return Limits.of(policy, limit_rate=rate)


@pytest.mark.parametrize(
    ("way", "size", "hub", "attempt", "chosen"),
    [
        ("auto", 1 << 20, True, 1, "ranged"),
        ("auto", 8 << 30, True, 1, "ranged"),
        ("auto", 60_000_000_000, True, 1, "xet"),
        ("auto", 60_000_000_000, False, 1, "ranged"),
        ("auto", 60_000_000_000, True, 2, "ranged"),
        ("hf_transfer", 1 << 30, True, 1, "hf_transfer"),
        ("hf_transfer", 1 << 30, True, 2, "ranged"),
        ("hf_transfer", 0, True, 1, "ranged"),
        ("hub", 1 << 30, True, 1, "hub"),
        ("hub", 1 << 30, False, 1, "ranged"),
        ("xet", 1 << 30, True, 1, "xet"),
    ],
)
def test_the_choice(way: str, size: int, hub: bool, attempt: int, chosen: str, tmp_path: Path) -> None:
    file = LockedFile(path="w", size=size, sha256="a" * 64, git_sha1=None)
    remote = HttpFile("http://127.0.0.1:1/w", hub=hub)
    assert Chosen(limits(), way).downloader(file, remote, Part(tmp_path / "w"), attempt).name == chosen


def test_what_knows_no_limit_or_authority_is_not_chosen_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    file = LockedFile(path="w", size=1 << 30, sha256="a" * 64, git_sha1=None)
    remote, part = HttpFile("https://hub.example/w", hub=True), Part(tmp_path / "w")
    assert Chosen(limits(), "hf_transfer").downloader(file, remote, part, 1).name == "hf_transfer"
    assert Chosen(limits(rate=1000), "hf_transfer").downloader(file, remote, part, 1).name == "ranged"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.corp:3128")
    assert Chosen(limits(), "xet").downloader(file, remote, part, 1).name == "ranged"
    monkeypatch.delenv("HTTPS_PROXY")
    import certifi

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    assert Chosen(limits(), "hf_transfer").downloader(file, remote, part, 1).name == "ranged"


@pytest.mark.parametrize(
    "address", ["socks5://me:secret@proxy.corp:1080", "foo://x", "http://me:secret@[", "http://p:x"]
)
@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_a_proxy_that_is_not_spoken_is_told_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    for each in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(each, raising=False)
    require_spoken_proxies()
    monkeypatch.setenv(name, address)
    with pytest.raises(DownloadError) as refused:
        require_spoken_proxies()
    assert name.upper() in str(refused.value)
    assert "secret" not in str(refused.value)
