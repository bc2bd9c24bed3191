"""Generated Dockerfiles, contexts, features and output of builds, without an engine."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
from pathlib import Path

import pytest

from bundler.builder.dockerfile import parse_dockerfile
from bundler.builder.engine_build.ca import private_files
from bundler.builder.engine_build.context import context_files, read_ignore, stage_context, write_context
from bundler.builder.engine_build.generated import Parents, generate
from bundler.builder.engine_build.output import Redactor, Transcript, secret_lines
from bundler.builder.engine_build.tags import PrivateTags
from bundler.builder.engine_build.values import BuilderJob, PrivateParts, SecretSource
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.progress import SilentProgress


def generated(text: str, stages: dict[int, str], sources: dict[str, str]) -> str:
    dockerfile = parse_dockerfile(text, "Dockerfile", {}, "linux/amd64")
    return generate(text, dockerfile, Parents(stages, sources, {}))


def test_images_are_replaced_line_for_line() -> None:
    text = (
        "ARG V=1\n"
        "FROM --platform=linux/amd64 \\\n  image:$V AS first\n"
        "FROM first\n"
        "COPY --from=tool:2 --chown=1:1 /tool:2 /x\n"
        "RUN --mount=type=bind,from=tool:2,target=/t \\\n    echo from=tool:2\n"
        "COPY --from=0 /a /a\n"
        "FROM last:1\n"
    )
    found = generated(text, {0: "p:0", 2: "p:2"}, {"tool:2": "p:t"}).split("\n")
    assert found == [
        "ARG V=1", "FROM p:0 AS first", "", "FROM first", "COPY --from=p:t --chown=1:1 /tool:2 /x",
        "RUN --mount=type=bind,from=p:t,target=/t \\", "    echo from=tool:2", "COPY --from=0 /a /a", "FROM p:2", "",
    ]  # fmt: skip


def test_a_heredoc_keeps_its_text() -> None:
    text = "FROM a\nRUN --mount=from=a,target=/t <<END\nFROM a\necho from=a\nEND\n"
    found = generated(text, {0: "p:0"}, {"a": "p:a"})
    assert found == "FROM p:0\nRUN --mount=from=p:a,target=/t <<END\nFROM a\necho from=a\nEND\n"


def test_the_syntax_line_goes_and_other_directives_stay() -> None:
    text = "# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN one `\n two\n"
    assert generated(text, {0: "p:0"}, {}) == "# escape=`\n#\nFROM p:0\nRUN one `\n two\n"


def test_an_image_that_cannot_be_replaced_is_an_error() -> None:
    with pytest.raises(BuildError, match="cannot replace") as caught:
        generated("FROM a\nRUN --mount=type=bind,fr\\\nom=tool,target=/t true\n", {0: "p:0"}, {"tool": "p:t"})
    assert caught.value.where == "Dockerfile:2"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "data" / "deep").mkdir(parents=True)
    for name in ("main.py", "data/kept", "data/left", "data/deep/kept"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("nowhere")
    (folder / ".dockerignore").write_text("# all but\ndata\n\n!data/kept\n!data/deep/kept\n")
    return folder


def test_the_context_without_what_is_ignored(context: Path) -> None:
    files = context_files(context, read_ignore(context, context / "Dockerfile"))
    assert files == ("data", "data/deep", "data/deep/kept", "data/kept", "link", "main.py")
    (context / "Dockerfile.x.dockerignore").write_text("link\n")
    assert read_ignore(context, context / "Dockerfile.x") == ("link",)


def test_both_forms_of_a_context_hold_the_same(context: Path, tmp_path: Path) -> None:
    files, extra = context_files(context, ("data/left",)), {"wheelhouse": tmp_path / "wheels"}
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").write_bytes(b"wheel")
    stage_context(tmp_path / "staged", context, files, extra)
    packed = io.BytesIO()
    write_context(packed, context, files, extra, {"Generated": "FROM a\n"})
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        members = {each.name: each for each in archive}
        assert archive.extractfile("Generated").read() == b"FROM a\n"  # type: ignore[union-attr]
    staged = {path.relative_to(tmp_path / "staged").as_posix(): path for path in (tmp_path / "staged").rglob("*")}
    assert sorted(staged) == sorted(set(members) - {"Generated"})
    assert "data/left" not in staged
    assert staged["link"].is_symlink() and members["link"].linkname == "nowhere"
    assert {(each.uid, each.gid, each.uname) for each in members.values()} == {(0, 0, "")}
    assert staged["main.py"].stat().st_mtime == (context / "main.py").stat().st_mtime


def test_a_socket_is_left_out_and_a_missing_file_named(context: Path, tmp_path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(context / "s"))
        stage_context(tmp_path / "staged", context, ("main.py", "s"), {})
        packed = io.BytesIO()
        write_context(packed, context, ("main.py", "s"), {}, {})
    assert [path.name for path in (tmp_path / "staged").iterdir()] == ["main.py"]
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        assert archive.getnames() == ["main.py"]
    with pytest.raises(BuildError, match="cannot be read") as caught:
        stage_context(tmp_path / "other", context, ("missing",), {})
    assert caught.value.where == str(context / "missing")


def test_secrets_are_taken_out_of_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("-----BEGIN\nline-two\n")
    monkeypatch.setenv("TOKEN", "word-of-token")
    monkeypatch.setenv("https_proxy", "http://u:pass%40word@proxy:1")
    redact = Redactor([SecretSource("k", path=tmp_path / "key"), SecretSource("t", variable="TOKEN")])
    text = "a line-two b word-of-token c pass%40word d pass@word"
    assert redact(text) == "a ******** b ******** c ******** d ********"
    with pytest.raises(BuildError, match="which is not set"):
        secret_lines(SecretSource("x", variable="NOT_THERE_AT_ALL"))
    with pytest.raises(BuildError, match="cannot be read"):
        secret_lines(SecretSource("x", path=tmp_path / "missing"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://person:hidden-word@proxy.invalid:3128", "hidden-word"),
        ("person:hidden-word@proxy.invalid:3128", "hidden-word"),
        ("person:hidden:word@proxy.invalid", "hidden:word"),
        ("http://person:hid@[den/word@proxy.invalid:3128", "hid@[den/word"),
        ("http://person:hidden%20word@[::1/", "hidden word"),
    ],
)
def test_passwords_of_proxies_are_taken_out_however_they_are_written(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    redact = Redactor(())
    assert redact(f"got {said}!") == "got ********!"
    assert redact(f"by {address}").startswith("by ") and "word" not in redact(address)


@pytest.mark.parametrize(
    "address", ["http://proxy.invalid:3128", "http://person@proxy", "::1", "http://[bad", "localhost"]
)
def test_a_proxy_without_a_password_hides_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    assert Redactor(())(f"by {address} 3128") == f"by {address} 3128"


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        (["#5 [2/2] RUN  make all", "#5 ERROR: exit code: 2"], "Dockerfile:2"),
        (["#6 [stage-1 2/3] RUN x", " > [stage-1 3/3] RUN make all:", "Dockerfile:2"], "Dockerfile:2"),
        (["Step 2/2 : RUN make all"], "Dockerfile:2"),
        (["nothing known"], "service:1"),
    ],
)
def test_a_failure_is_placed(lines: list[str], where: str) -> None:
    shown = parse_dockerfile("FROM a\nRUN make all\n", "Dockerfile", {}, "linux/amd64")
    job = BuilderJob(
        "service:1", "Dockerfile", "", Path(), (), {}, {}, None, "linux/amd64", "p:1", {"p:1": "service:1"}, shown
    )
    transcript = Transcript(job, SilentProgress(), Redactor(()))
    for line in lines:
        transcript.line(line)
    error = transcript.failure("the engine's word on p:1")
    assert error.where == where
    assert error.problems[-1].what == "the engine's word on service:1"


def test_a_bundle_of_authorities_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(PreconditionError, match="cannot be read"):
        private_files(path)
    path.write_text("no certificate")
    with pytest.raises(PreconditionError, match="holds no certificate"):
        private_files(path)
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(PreconditionError, match="not a certificate"):
        private_files(path)


def test_private_tags_and_parts() -> None:
    tags = PrivateTags("1-a")
    assert (tags.new("parent"), tags.new("image")) == (
        "bundler.invalid/build:1-a-1-parent",
        "bundler.invalid/build:1-a-2-image",
    )
    one, two = (PrivateParts((Digest.of(word),), (number,), ()) for number, word in enumerate((b"a", b"b")))
    assert (one + two).history == (0, 1)
    assert (one + two).diff_ids == (Digest.of(b"a"), Digest.of(b"b"))
