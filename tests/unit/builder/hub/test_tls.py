"""The authority behind a certificate that nobody trusts, over real TLS, also through a proxy."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.endpoints import Endpoint
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.hub.tls import issuer_of, presented_issuer
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError, PreconditionError
from testbed.authority import Authority
from testbed.hub import Hub, HubRepo
from testbed.proxy import Proxy


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def hub(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("no_proxy", "")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with Hub([HubRepo("acme/tiny", tmp_path / "model")], tls=authority.context()) as running:
        yield running


def wanted() -> ModelSpec:
    return ModelSpec.model_validate({"name": "tiny", "repo": "acme/tiny", "path": "/m/tiny"})


def source(hub: Hub, ca_bundle: Path | None = None) -> HubSource:
    return HubSource(Endpoint(hub.endpoint), Credentials(), ca_bundle, timeout_s=20)


def test_the_authority_is_named(hub: Hub) -> None:
    assert presented_issuer(hub.endpoint) == "CN=Acme Inspection CA, O=Acme"


def test_the_authority_is_named_through_a_proxy(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(password=("ann", "s/cret")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.address_for("ann", "s/cret"))
        assert presented_issuer(hub.endpoint) == "CN=Acme Inspection CA, O=Acme"
        assert [asked.status for asked in proxy.asked] == [200]


def test_where_there_is_no_certificate(tmp_path: Path) -> None:
    with Hub() as plain:
        assert presented_issuer(plain.endpoint.replace("http:", "https:"), 2) is None
    assert presented_issuer(plain.endpoint.replace("http:", "https:"), 2) is None


def test_an_untrusted_certificate_is_told_with_its_authority(hub: Hub) -> None:
    with pytest.raises(DownloadError, match=r"which CN=Acme Inspection CA, O=Acme signed, is not trusted") as caught:
        source(hub).resolve(wanted())
    assert "--ca-bundle" in caught.value.remedy


def test_the_authority_by_ca_bundle(hub: Hub, authority: Authority) -> None:
    assert source(hub, authority.certificate).resolve(wanted()).files


def test_the_authority_by_the_environment(hub: Hub, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert HubSource(Endpoint(hub.endpoint), Credentials(), timeout_s=19).resolve(wanted()).files


def test_what_is_no_bundle(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("not a certificate")
    for path in (tmp_path / "none.pem", tmp_path / "absent.pem"):
        with pytest.raises(PreconditionError, match="CA bundle cannot be used"):
            source(hub, path).resolve(wanted())


def test_a_server_without_tls(tmp_path: Path) -> None:
    with Hub() as plain, pytest.raises(DownloadError, match="does not speak TLS"):
        HubSource(Endpoint(plain.endpoint.replace("http:", "https:")), Credentials(), timeout_s=20).resolve(wanted())


def test_names_in_other_alphabets(tmp_path: Path) -> None:
    subject = "/C=DE/O=Prüfstelle Süd/OU=Netze/CN=Prüf-CA"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-utf8"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "der"), "-outform", "DER"]
    subprocess.run(["openssl", "req", "-x509", *new, *files, "-subj", subject], check=True, capture_output=True)
    assert issuer_of((tmp_path / "der").read_bytes()) == "CN=Prüf-CA, O=Prüfstelle Süd, OU=Netze, C=DE"


@pytest.mark.parametrize("content", [b"", b"\x30", b"\x30\x82\xff\xff\x30", b"\x02\x01\x01", b"\x30\x02\x30\x00"])
def test_what_is_no_certificate(content: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        issuer_of(content)
