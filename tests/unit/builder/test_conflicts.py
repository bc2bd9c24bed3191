"""What layers above models do to them: each pitfall in its pure form, named with its step, all of them at once."""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath

import pytest

from bundler.builder.conflicts import ImageAbove, ModelPlace, require_models_whole
from bundler.builder.layer_filter import without_entries
from bundler.builder.layer_scan import scan_layer
from bundler.builder.stack import Step
from bundler.core.digest import Digest
from bundler.core.errors import BuildError
from bundler.core.oci import LAYER_ZSTD, Descriptor, Layer

MODEL = ModelPlace("m", PurePosixPath("/app/models/m"))
D, F, S, H = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def item(
    name: str, kind: bytes = F, *, mode: int = 0o755, uid: int = 0, gid: int = 0, link: str = "", content: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid, info.linkname, info.size = kind, mode, uid, gid, link, len(content)
    return info, content


def tar(*items: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for info, content in items:
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def image(*layers: bytes, **config: object) -> ImageAbove:
    steps = []
    for number, content in enumerate(layers):
        layer = Layer(Digest.of(content), len(content), Descriptor(LAYER_ZSTD, Digest.of(content), 1), "os")
        scan = scan_layer(io.BytesIO(content), [MODEL.path], "test")
        steps.append((Step({"created_by": f"RUN step {number}"}, layer), scan))
    return ImageAbove("img:1", config, tuple(steps))


def problems(*images: ImageAbove) -> list[str]:
    try:
        require_models_whole([MODEL], images)
    except BuildError as error:
        assert error.exit_code == 5
        assert all(problem.remedy for problem in error.problems)
        return [f"{problem.where}: {problem.what}" for problem in error.problems]
    return []


@pytest.mark.parametrize("prefix", ["", "./", "/"])
@pytest.mark.parametrize(
    ("name", "kind", "link", "told"),
    [
        ("app/models/m/config.json", F, "", "puts the file /app/models/m/config.json into the model m"),
        ("app/models/m/sub/", D, "", "puts the directory /app/models/m/sub into"),
        ("app/models/m/l", S, "/x", "puts the symlink /app/models/m/l into"),
        ("app/models/m/h", H, "bin/x", "puts the hard link /app/models/m/h into"),
        ("app/models/m", F, "", "puts a file at /app/models/m, which hides"),
        ("app/models/m", S, "/data/m", "makes /app/models/m a link to /data/m"),
        ("app/models", S, "../opt/models", "makes /app/models a link to ../opt/models, which hides"),
        ("app", H, "srv", "puts a hard link at /app"),
        ("app", tarfile.FIFOTYPE, "", "puts a device at /app"),
        ("app/models/m/.wh.config.json", F, "", "removes /app/models/m/config.json"),
        ("app/models/.wh.m", F, "", "removes /app/models/m, and with it"),
        ("app/models/m/1_Pooling/.wh..wh..opq", F, "", "replaces the directory /app/models/m/1_Pooling"),
        ("app//models/./m/x", F, "", "puts the file /app/models/m/x into"),
        ("srv/../app/models/m/x", F, "", "puts the file /app/models/m/x into"),
    ],
)
def test_what_changes_or_hides_a_model_is_named(prefix: str, name: str, kind: bytes, link: str, told: str) -> None:
    (found,) = problems(image(tar(item("etc", D)), tar(item(prefix + name, kind, link=link))))
    assert found.startswith("img:1, RUN step 1: ")
    assert told in found


@pytest.mark.parametrize(
    "name",
    ["app/main.py", "app/models/other/w", "app/models.txt", "app/models/m2", "app/models/.wh.m2", "app/.wh.x", ".wh.srv",
     "app/models/mm/config.json", "ap", "app/.wh..wh.plnk"],
)  # fmt: skip
def test_what_stands_beside_a_model_is_welcome(name: str) -> None:
    assert problems(image(tar(item("app", D, mode=0o750, uid=10), item("app/models/m", D), item(name)))) == []


def test_everything_is_told_at_once_and_shared_layers_once() -> None:
    bad = tar(item("app/models/m/a"), item("app/models/m/b"))
    found = problems(image(bad, Volumes={"/app": {}}), image(bad, tar(item("app", S, link="x"))))
    assert len(found) == 4
    many = tar(*(item(f"app/models/m/{number}") for number in range(100)))
    assert len(problems(image(many))) == 21


@pytest.mark.parametrize("directory", ["", "app/", "app/models/", "app/models/m/"])
def test_an_opaque_marker_that_hides_nothing_is_dropped(directory: str) -> None:
    skeleton = tar(item("app", D), item("app/models", D))
    upper = tar(item("etc/x"), item(f"{directory}.wh..wh..opq"), item("app/main.py"))
    lower = tar(item("etc/passwd")) if directory else skeleton
    drops = require_models_whole([MODEL], [image(skeleton, lower, upper)] if directory else [image(skeleton, upper)])
    assert drops == {Digest.of(upper): frozenset({f"{directory}.wh..wh..opq"})}


@pytest.mark.parametrize(
    ("lower", "marker"),
    [("app/old.txt", "app/.wh..wh..opq"), ("app/models/x/y", "app/models/.wh..wh..opq"), ("etc/x", ".wh..wh..opq")],
)
def test_an_opaque_marker_that_hides_something_is_an_error(lower: str, marker: str) -> None:
    (found,) = problems(image(tar(item(lower)), tar(item(marker))))
    assert "replaces the directory" in found
    assert problems(image(tar(item(marker), item(lower)))) == [], "what the same layer brings is not hidden by it"


@pytest.mark.parametrize("name", ["app/.wh.models", ".wh.app"])
def test_a_whiteout_is_an_error_where_it_removes_something_of_the_image(name: str) -> None:
    """containerd writes one for each directory that the private parent brought, where graph drivers write a marker."""
    upper = tar(item("app", D), item(name))
    skeleton = tar(item("app", D), item("app/models", D))
    assert require_models_whole([MODEL], [image(skeleton, upper)]) == {Digest.of(upper): frozenset({name})}
    (found,) = problems(image(tar(item("app/models/x/y")), upper))
    assert "removes /app" in found and "and with it the model m" in found
    assert len(problems(image(tar(item("app/models/x/y")), upper), image(skeleton, upper))) == 1


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_leaving_a_marker_out_keeps_every_other_byte(form: int) -> None:
    long = "d" * 90 + "/" + ("n" * 140 if form != tarfile.USTAR_FORMAT else "n" * 60)
    before = [
        item("app", D),
        item(long, content=b"x" * 700),
        item("hard", H, link="app/first"),
        item("é" if form != tarfile.USTAR_FORMAT else "e", content=b"1"),
    ]
    after = [
        item("app/x", content=b"y" * 3000),
        item("last", S, link="k" * (150 if form != tarfile.USTAR_FORMAT else 9)),
    ]
    whole = tar(*before, item("app/.wh..wh..opq"), *after, form=form)
    found = without_entries(io.BytesIO(whole), {"app/.wh..wh..opq"}, "test").read()
    with_padding = tar(*before, *after, form=form)
    assert found.rstrip(b"\0") == with_padding.rstrip(b"\0")
    assert without_entries(io.BytesIO(whole), {"nothing"}, "test").read() == whole
    assert without_entries(io.BytesIO(whole), {long}, "test").read().rstrip(b"\0") == tar(
        before[0], *before[2:], item("app/.wh..wh..opq"), *after, form=form
    ).rstrip(b"\0")


def test_a_cut_or_foreign_layer_is_refused() -> None:
    whole = tar(item("a", content=b"x" * 3000))
    for content in (whole[:700], b"no tar at all" * 100):
        with pytest.raises(BuildError, match="not a layer"):
            without_entries(io.BytesIO(content), {"x"}, "test").read()
    with pytest.raises(BuildError, match="not a layer"):
        scan_layer(io.BytesIO(b"no tar at all" * 100), [MODEL.path], "test")


@pytest.mark.parametrize("volume", ["/app", "/app/models/", "/app/models/m", "/app/models/m/cache", "/", "app//models"])
def test_a_volume_that_would_copy_or_hide_a_model(volume: str) -> None:
    (found,) = problems(image(Volumes={volume: {}, "/data": {}, "/app/models2": {}}))
    assert f"VOLUME {volume}" in found


PASSWD = b"root:x:0:0::/:/bin/sh\nsvc:x:1000:1000::/:/bin/sh\nguest:x:1001:50::/:/bin/sh\n"
GROUP = b"root:x:0:\nml:x:70:svc\nsvc:x:1000:\n"


def accounts(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return tar(item("etc/passwd", content=PASSWD), item("etc/group", content=GROUP), *more)


@pytest.mark.parametrize(
    ("user", "mode", "uid", "gid", "reaches"),
    [
        ("", 0o700, 1000, 1000, True),
        ("0", 0o000, 1000, 1000, True),
        ("root", 0o700, 1000, 1000, True),
        ("10001", 0o750, 1000, 1000, False),
        ("10001", 0o751, 1000, 1000, True),
        ("10001", 0o750, 1000, 0, True),
        ("10001:70", 0o750, 1000, 70, True),
        ("1000", 0o750, 1000, 1000, True),
        ("1000", 0o050, 1000, 1000, False),
        ("svc", 0o750, 0, 70, True),
        ("1000", 0o750, 0, 70, True),
        ("svc:svc", 0o750, 0, 70, False),
        ("svc:ml", 0o750, 0, 70, True),
        ("guest", 0o750, 0, 70, False),
        ("guest", 0o755, 0, 0, True),
        ("guest", 0o744, 0, 0, False),
    ],
)
def test_a_user_who_cannot_reach_a_model(user: str, mode: int, uid: int, gid: int, reaches: bool) -> None:
    found = problems(image(accounts(item("app", D, mode=mode, uid=uid, gid=gid)), User=user))
    assert (found == []) == reaches
    if not reaches:
        assert f"/app has mode {mode:04o} and owner {uid}:{gid}" in found[0]


def test_the_uppermost_layer_decides_about_a_directory() -> None:
    closed, opened = item("app/models", D, mode=0o700), item("app/models", D, mode=0o755)
    assert problems(image(tar(closed), tar(opened), User="5")) == []
    assert len(problems(image(tar(opened), tar(closed), User="5"))) == 1


def test_a_user_who_does_not_exist() -> None:
    assert "no such user" in problems(image(accounts(), User="nobody"))[0]
    assert "no such user" in problems(image(accounts(), User="svc:none"))[0]
