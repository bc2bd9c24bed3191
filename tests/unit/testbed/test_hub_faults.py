"""Every way in which the Hub of the test bed can fail, as a client on a plain socket sees it, and that it is counted."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi

from testbed.authority import Authority
from testbed.hub import Fault, Hub, HubRepo, Kind
from testbed.hub_faults import Span
from testbed.hub_line import SilentHost
from testbed.hub_seen import fingerprint

REPO = "org/small"
WEIGHTS = bytes(range(256)) * 1024
LFS = "/lfs/*/model.safetensors"
RESOLVE = "*/resolve/*"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "README.md").write_text(
        "---\nlicense: other\nlicense_name: acme-terms\nlicense_link: LICENSE.md\nlibrary_name: transformers\n---\n"
    )
    (folder / "config.json").write_text('{"hidden_size": 4}\n')
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


@pytest.fixture
def hub(content: Path) -> Iterator[Hub]:
    with Hub([HubRepo(REPO, content)]) as running:
        yield running


def get(
    url: str, method: str = "GET", tls: ssl.SSLContext | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=60, context=tls)
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def resolve(hub: Hub, name: str = "model.safetensors") -> str:
    return f"{hub.endpoint}/{REPO}/resolve/main/{name}"


def cdn_url(hub: Hub) -> str:
    return get(resolve(hub), "HEAD")[1]["location"]


# -- counting


def test_a_fault_counts_where_it_strikes_and_not_where_it_is_planned(hub: Hub) -> None:
    url = cdn_url(hub)
    cut, wrong = Fault(LFS, Kind.CUT, after=5000), Fault(LFS, Kind.WRONG_BYTES, after=9000)
    hub.faults.add(cut, wrong)
    assert get(url, Range="bytes=0-999")[2] == WEIGHTS[:1000], "neither can be seen in these bytes"
    assert (hub.faults.struck(cut), hub.faults.struck(wrong)) == (0, 0)
    with pytest.raises(http.client.IncompleteRead):
        get(url)
    assert get(url, Range="bytes=0-9999")[2] != WEIGHTS[:10_000]
    assert (hub.faults.struck(cut), hub.faults.struck(Kind.CUT), hub.faults.struck(wrong)) == (1, 1, 1)
    hub.faults.end()
    assert hub.faults.struck(cut) == 1
    hub.faults.clear()
    assert hub.faults.struck(cut) == 0


def test_a_fault_that_nobody_waited_for_is_due_again(hub: Hub) -> None:
    fault = Fault(LFS, Kind.CUT, after=9000)
    hub.faults.add(fault)
    taken = hub.faults.take("GET", urlsplit(cdn_url(hub)).path, span=Span(0, 10_000, True), cdn=True)
    assert taken == fault
    assert get(cdn_url(hub))[2] == WEIGHTS, "it was for one request"
    hub.faults.missed(fault)
    with pytest.raises(http.client.IncompleteRead):
        get(cdn_url(hub))
    assert hub.faults.struck(fault) == 1


@pytest.mark.parametrize("after", [0, 5000])
def test_a_stall_ends_with_the_faults(hub: Hub, after: int) -> None:
    fault = Fault(LFS, Kind.STALL, after=after, stall_s=3600)
    hub.faults.add(fault)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(get, cdn_url(hub))
        while not hub.faults.struck(fault):
            time.sleep(0.01)
        assert not asked.done()
        hub.faults.end()
        assert asked.result(60)[2] == WEIGHTS


# -- addresses that lead nowhere


def test_where_nothing_answers_a_connection_waits_and_is_counted(hub: Hub) -> None:
    fault = Fault(RESOLVE, Kind.NO_ANSWER)
    hub.faults.add(fault)
    status, headers, _ = get(resolve(hub), "HEAD")
    target = urlsplit(headers["location"])
    assert (status, headers["x-linked-size"], hub.faults.struck(fault)) == (302, str(len(WEIGHTS)), 1)
    assert hub.silent.knocks == 0
    with socket.socket() as first, socket.socket() as second:
        for count, waiting in enumerate((first, second), start=1):
            waiting.settimeout(0.2)
            with pytest.raises(TimeoutError):
                waiting.connect((target.hostname, target.port))
            assert hub.silent.knocks == count  # of those that still wait: who left before anybody looked is not seen


def test_a_silent_host_refuses_when_it_is_gone() -> None:
    with SilentHost() as host:
        port = host.port
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
        pass


def test_a_name_that_does_not_resolve(hub: Hub) -> None:
    fault = Fault(RESOLVE, Kind.NO_NAME)
    hub.faults.add(fault)
    name = urlsplit(cdn_url(hub)).hostname or ""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(name, 80)
    assert hub.faults.struck(fault) == 1


@pytest.mark.parametrize("path", [RESOLVE, LFS, "/api/models/*"])
def test_a_redirect_to_itself(hub: Hub, path: str) -> None:
    url = {RESOLVE: resolve(hub), LFS: cdn_url(hub)}.get(path, f"{hub.endpoint}/api/models/{REPO}?blobs=true")
    hub.faults.add(Fault(path, Kind.REDIRECT_LOOP, times=2))
    assert [get(url)[1].get("location") == url for _ in range(3)] == [True, True, False]
    assert hub.faults.struck(Kind.REDIRECT_LOOP) == 2


# -- answers


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_and_when_to_come_again(hub: Hub, status: int) -> None:
    hub.faults.add(Fault(LFS, Kind.STATUS, status=status, retry_after_s=7))
    hub.faults.add(Fault(LFS, Kind.STATUS, status=status, retry_after_s=7, retry_as_date=True))
    url = cdn_url(hub)
    first, before, second = get(url), time.time(), get(url)
    assert (first[0], second[0], first[1]["retry-after"]) == (status, status, "7")
    assert before + 6 < parsedate_to_datetime(second[1]["retry-after"]).timestamp() <= time.time() + 7
    assert hub.faults.struck(Kind.STATUS) == 2


def test_another_file_with_another_tag_that_stays_the_same(hub: Hub) -> None:
    url = cdn_url(hub)
    tag = get(url, "HEAD")[1]["etag"]
    hub.faults.add(Fault(LFS, Kind.CHANGED, times=3))
    first, second = get(url), get(url)
    assert first[1]["etag"] == second[1]["etag"] != tag
    assert len(first[2]) == len(WEIGHTS)
    assert first[2][:3] == b"\xff\xfe\xfd"
    assert get(url, **{"Range": "bytes=5-", "If-Range": tag})[0] == 200
    assert get(url, **{"Range": "bytes=5-", "If-Range": tag})[::2] == (206, WEIGHTS[5:])
    assert hub.faults.struck(Kind.CHANGED) == 3


@pytest.mark.parametrize("by", [-1, 1, 5000])
def test_a_wrong_length(hub: Hub, by: int) -> None:
    url = cdn_url(hub)
    hub.faults.add(Fault(LFS, Kind.WRONG_LENGTH, times=2, by=by))
    body = get(url)[2]
    assert len(body) == len(WEIGHTS) + by
    assert body[: len(WEIGHTS)] == WEIGHTS[: len(body)]
    assert get(url, Range="bytes=0-9")[1]["content-range"] == f"bytes 0-9/{len(WEIGHTS) + by}"
    assert hub.faults.struck(Kind.WRONG_LENGTH) == 2


def test_another_range_than_asked_for(hub: Hub) -> None:
    url = cdn_url(hub)
    hub.faults.add(Fault(LFS, Kind.WRONG_RANGE))
    assert get(url)[2] == WEIGHTS, "only an answer to a range can show it"
    status, headers, body = get(url, Range="bytes=100-199")
    assert (status, body) == (206, WEIGHTS[101:200])
    assert headers["content-range"] == f"bytes 101-199/{len(WEIGHTS)}"


def test_a_page_as_long_as_the_file(hub: Hub) -> None:
    hub.faults.add(Fault(LFS, Kind.HTML_SIZED))
    status, headers, body = get(cdn_url(hub), Range="bytes=5-")
    assert (status, len(body), headers["content-type"]) == (200, len(WEIGHTS), "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")


def test_a_compressed_answer(hub: Hub) -> None:
    hub.faults.add(Fault(LFS, Kind.GZIP))
    status, headers, body = get(cdn_url(hub), **{"Range": "bytes=5-", "Accept-Encoding": "identity"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(body) == WEIGHTS
    assert hub.faults.struck(Kind.GZIP) == 1


def test_a_trickle_after_some_bytes(hub: Hub) -> None:
    url = cdn_url(hub)
    hub.faults.add(Fault(LFS, Kind.SLOW, after=200_000, bytes_per_s=10))
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    begun = time.monotonic()
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    assert answer.read(200_000) == WEIGHTS[:200_000]
    assert time.monotonic() - begun < 60, "a trickle from the first byte on takes hours"
    assert answer.read(5) == WEIGHTS[200_000:200_005]
    assert time.monotonic() - begun > 0.3
    connection.close()


def test_real_expiry_is_counted_too(content: Path) -> None:
    with Hub([HubRepo(REPO, content)], link_ttl_s=0.1) as hub:
        url = cdn_url(hub)
        time.sleep(0.15)
        assert (get(url)[0], hub.faults.struck(Kind.EXPIRED)) == (403, 1)


# -- the server's own rules


def test_gates_and_tokens(content: Path) -> None:
    repo = HubRepo(REPO, content, gated="auto", readers=frozenset({"hf_reader"}))
    with Hub([repo], tokens=["hf_reader", "hf_other"]) as hub:
        statuses = [get(resolve(hub), Authorization=f"Bearer {token}")[0] for token in ("hf_other", "hf_reader", "no")]
        assert [get(resolve(hub))[0], *statuses] == [401, 403, 302, 401]
        assert (hub.faults.struck(Kind.GATED), hub.faults.struck(Kind.WRONG_TOKEN)) == (2, 1)
        assert hub.requests()[-2].authorization == fingerprint("Bearer no")
        info = HfApi(endpoint=hub.endpoint, token="hf_reader").model_info(REPO)
        assert info.gated == "auto"


def test_what_a_card_says(hub: Hub) -> None:
    info = HfApi(endpoint=hub.endpoint, token=False).model_info(REPO)
    assert info.card_data is not None
    assert info.library_name == "transformers"
    assert [info.card_data.get(key) for key in ("license", "license_name", "license_link")] == [
        "other",
        "acme-terms",
        "LICENSE.md",
    ]


def test_a_moved_branch_and_a_commit_that_is_gone(hub: Hub, content: Path) -> None:
    first = hub.commit(REPO)
    (content / "config.json").write_text("{}\n")
    hub.push(REPO, content)
    assert hub.faults.struck(Kind.MOVED) == 1
    assert get(f"{hub.endpoint}/{REPO}/resolve/{first}/model.safetensors")[0] == 302
    hub.forget(REPO, first)
    assert get(f"{hub.endpoint}/{REPO}/resolve/{first}/model.safetensors")[0] == 404
    assert get(resolve(hub))[0] == 302


def test_an_authority_that_nobody_knows(content: Path, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority")
    with Hub([HubRepo(REPO, content)], tls=authority.context()) as hub:
        assert hub.endpoint.startswith("https://")
        with pytest.raises(ssl.SSLCertVerificationError):
            get(resolve(hub), tls=ssl.create_default_context())
        deadline = time.monotonic() + 60
        while not hub.faults.struck(Kind.UNKNOWN_AUTHORITY) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert hub.faults.struck(Kind.UNKNOWN_AUTHORITY) == 1
        trusting = ssl.create_default_context(cafile=str(authority.certificate))
        url = get(resolve(hub), "HEAD", tls=trusting)[1]["location"]
        assert get(url, tls=trusting)[2] == WEIGHTS


def test_a_mirror_behind_basic_auth_that_serves_files_itself(content: Path) -> None:
    with Hub([HubRepo(REPO, content)], basic_auth=("ann", "pass:word"), direct=True) as hub:
        refused = get(resolve(hub))
        assert (refused[0], refused[1]["www-authenticate"]) == (401, 'Basic realm="mirror"')
        assert hub.faults.struck(Kind.NO_PASSWORD) == 1
        assert get(resolve(hub), Authorization="Basic YW5uOnBhc3M6d29yZA==")[2] == WEIGHTS
        assert get(resolve(hub), Authorization="Bearer pass:word")[0] == 401


def test_a_cookie_and_a_cdn_at_another_address(content: Path) -> None:
    with Hub([HubRepo(REPO, content)], cookie="session=abc; Path=/", cdn_host="127.0.0.2") as hub:
        _, headers, _ = get(resolve(hub), "HEAD")
        assert headers["set-cookie"].startswith("session=abc")
        assert urlsplit(headers["location"]).hostname == "127.0.0.2"
        status, headers, body = get(headers["location"], Cookie="session=abc")
        assert (status, body) == (200, WEIGHTS)
        assert "set-cookie" not in headers
        assert hub.requests(server="cdn")[0].cookie == fingerprint("session=abc")


def test_addresses_on_a_cdn_of_somebody_else(content: Path) -> None:
    with Hub([HubRepo(REPO, content)], cdn_base="http://cdn.test:81") as hub:
        assert cdn_url(hub).startswith(f"http://cdn.test:81/lfs/{REPO}/{hashlib.sha256(WEIGHTS).hexdigest()}/")


# -- speed


def test_each_connection_has_its_speed(content: Path) -> None:
    with Hub([HubRepo(REPO, content)], bytes_per_s=500_000) as hub:
        url = cdn_url(hub)
        begun = time.monotonic()
        assert get(url)[2] == WEIGHTS
        assert time.monotonic() - begun > 0.45
        assert hub.sent() == len(WEIGHTS)


def test_all_connections_share_one_line(content: Path) -> None:
    with Hub([HubRepo(REPO, content)], all_bytes_per_s=500_000) as hub:
        url = cdn_url(hub)
        begun = time.monotonic()
        for start in (0, 100_000):
            get(url, Range=f"bytes={start}-{start + 99_999}")
        assert time.monotonic() - begun > 0.35
