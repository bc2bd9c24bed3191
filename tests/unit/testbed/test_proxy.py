"""The proxy of the test bed, by the real HTTP clients of the product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from testbed.authority import Authority
from testbed.hub import Fault, Hub, HubRepo, Kind
from testbed.hub_seen import fingerprint
from testbed.proxy import Proxy

REPO = "org/small"
WEIGHTS = bytes(range(256)) * 4096
PATH = f"/{REPO}/resolve/main/model.safetensors"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


@pytest.fixture
def hub(content: Path) -> Iterator[Hub]:
    with Hub([HubRepo(REPO, content)]) as running:
        yield running


def through(proxy: str, url: str, **options: object) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, proxies={"http": proxy, "https": proxy}, timeout=60, **options)  # type: ignore[arg-type]


def test_plain_http_is_forwarded(hub: Hub) -> None:
    with Proxy() as proxy:
        assert through(proxy.address, f"{hub.endpoint}{PATH}").content == WEIGHTS
        assert [(asked.method, asked.status) for asked in proxy.asked] == [("GET", 302), ("GET", 200)]
        assert len(proxy.let_through("/lfs/")) == 1


def test_a_cut_stays_a_cut(hub: Hub) -> None:
    hub.faults.add(Fault("/lfs/*", Kind.CUT, after=1000))
    with Proxy() as proxy, pytest.raises(requests.exceptions.ChunkedEncodingError):
        through(proxy.address, f"{hub.endpoint}{PATH}")


def test_a_password_is_wanted_and_not_kept(hub: Hub) -> None:
    with Proxy(password=("ann", "secret")) as proxy:
        assert through(proxy.address, hub.endpoint).status_code == 407
        assert through(proxy.address_for("ann", "wrong"), hub.endpoint).status_code == 407
        assert proxy.let_through() == []
        assert through(proxy.address_for("ann", "secret"), f"{hub.endpoint}{PATH}").content == WEIGHTS
        assert proxy.asked[-1].authorization == fingerprint("Basic YW5uOnNlY3JldA==")
        assert not any(seen.authorized for seen in hub.requests())


def test_tls_goes_through_a_tunnel(content: Path, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority")
    with Hub([HubRepo(REPO, content)], tls=authority.context()) as hub, Proxy(password=("ann", "secret")) as proxy:
        address = proxy.address_for("ann", "secret")
        answer = through(address, f"{hub.endpoint}{PATH}", verify=str(authority.certificate))
        assert answer.content == WEIGHTS
        assert [asked.method for asked in proxy.let_through()] == ["CONNECT", "CONNECT"]
        assert proxy.asked[0].target == hub.endpoint.removeprefix("https://")
