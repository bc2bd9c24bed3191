"""Which server gets which secret, and that nothing printable holds one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bundler.builder.hub.sources.credentials import Credentials, gather
from bundler.builder.hub.sources.endpoints import HUB, Endpoint
from bundler.core.errors import BundlerError, PreconditionError, UsageError

MIRROR = "https://mirror.example/hf"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"HF_TOKEN_PATH": str(home / "login"), **more}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_hubs_token_goes_to_the_hub_alone(home: Path) -> None:
    known = gather(environ(home, HF_TOKEN="hf_secret\n"))
    assert known.authorization(f"{HUB}/api/models/a/b") == "Bearer hf_secret"
    others = (
        "http://huggingface.co",
        "https://huggingface.co.evil.example",
        "https://hf.co",
        "https://x.huggingface.co",
    )
    for other in (*others, MIRROR, "https://huggingface.co:8443", "https://cdn-lfs.huggingface.co/x"):
        assert known.headers(other) == {}
    assert "hf_secret" not in repr(known)


def test_a_file_is_named_before_the_environment_and_that_before_the_login(home: Path) -> None:
    written(home / "login", "hf_login\n")
    assert gather(environ(home)).authorization(HUB) == "Bearer hf_login"
    assert gather(environ(home, HF_TOKEN="hf_env")).authorization(HUB) == "Bearer hf_env"
    file = written(home / "token", "hf_file\n")
    assert gather(environ(home, HF_TOKEN="hf_env"), token_file=file).authorization(HUB) == "Bearer hf_file"


def test_nobody_is_logged_in(home: Path) -> None:
    assert gather(environ(home)).headers(HUB) == {}


def test_a_mirror_gets_what_is_said_for_it_and_no_more(home: Path) -> None:
    file = written(home / "mirror", "m_secret")
    known = gather(environ(home, HF_TOKEN="hf_secret"), endpoint_tokens=[f"{MIRROR}={file}"])
    assert known.authorization(f"{MIRROR}/api/models/a/b") == "Bearer m_secret"
    assert known.authorization("https://mirror.example/other") is None
    assert known.authorization("https://mirror.example/hf-other") is None
    assert known.authorization("http://mirror.example/hf") is None
    assert known.authorization(HUB) == "Bearer hf_secret"


def test_netrc_is_read_and_its_default_left_alone(home: Path) -> None:
    written(home / ".netrc", "machine mirror.example login ann password se:cret\ndefault login bob password other\n")
    known = gather(environ(home))
    assert known.authorization(MIRROR) == "Basic " + base64.b64encode(b"ann:se:cret").decode()
    assert known.authorization("https://another.example") is None
    assert "cret" not in repr(known)


def test_the_file_that_netrc_names_and_one_that_is_none(home: Path) -> None:
    file = written(home / "mine", "machine mirror.example login ann password x\n")
    assert gather(environ(home, NETRC=str(file))).authorization(MIRROR) is not None
    with pytest.raises(PreconditionError, match="names no file"):
        gather(environ(home, NETRC=str(home / "absent")))
    with pytest.raises(PreconditionError, match="cannot be read") as caught:
        gather(environ(home, NETRC=str(written(home / "bad", "machine m login ann passwort hush\n"))))
    assert "hush" not in str(caught.value)
    written(home / ".netrc", "nonsense\n")
    assert gather(environ(home)).headers(MIRROR) == {}


def test_a_login_of_the_address_comes_before_netrc(home: Path) -> None:
    written(home / ".netrc", "machine mirror.example login ann password x\n")
    known = gather(environ(home), [Endpoint(MIRROR, ("bob", "y"))])
    assert known.authorization(MIRROR) == "Basic " + base64.b64encode(b"bob:y").decode()


@pytest.mark.parametrize("content", [b"", b"two words", b"line\nanother", "hf_\u00e9".encode(), b"\xff\xfe"])
def test_a_file_that_holds_no_token_is_refused_without_repeating_it(home: Path, content: bytes) -> None:
    (home / "token").write_bytes(content)
    with pytest.raises(PreconditionError) as caught:
        gather(environ(home), token_file=home / "token")
    assert "words" not in str(caught.value)
    assert "another" not in str(caught.value)


def test_what_cannot_be_read(home: Path) -> None:
    with pytest.raises(PreconditionError, match="cannot be read"):
        gather(environ(home), token_file=home / "absent")
    with pytest.raises(UsageError, match="which token"):
        gather(environ(home), endpoint_tokens=["hf_pasted"])
    for text in ("https://ann:hush@mirror.example=/f", "hf_pasted=x"):
        with pytest.raises(BundlerError) as caught:
            gather(environ(home), endpoint_tokens=[text])
        assert "hush" not in str(caught.value)


def test_nothing_is_known_without_saying() -> None:
    assert Credentials().headers(HUB) == {}


def test_a_home_that_is_nobodys_is_told_as_a_file_that_is_not_there(home: Path) -> None:
    with pytest.raises(PreconditionError, match="cannot be read"):
        gather(environ(home), token_file=Path("~nosuchuser/token"))
    with pytest.raises(PreconditionError, match="NETRC names no file"):
        gather(environ(home, NETRC="~nosuchuser/netrc"))
