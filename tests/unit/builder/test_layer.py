"""Layers made by bundler: one form for the same entries, whatever host they are made on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from bundler.builder.layer import (
    ChangedFileError,
    Entry,
    directory_entry,
    layer_chunks,
    with_parents,
)
from bundler.builder.model_tree import ModelTree, TreeFile, hub_cache_tree, model_entries
from bundler.core.digest import Digest
from bundler.core.errors import BuildError

#: The form is an interface: models that were carried over once are recognised by this digest for ever.
PINNED = "ee03c2ecc037f9f43b2321535141364a3745fe65771da2301199f8c5abe5c50e"


def tree(directory: Path, contents: dict[str, bytes], path: str = "/app/models/m") -> ModelTree:
    files = []
    for name, content in contents.items():
        source = directory / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        files.append(TreeFile(name, len(content), Digest.of(content), source))
    return ModelTree("m", PurePosixPath(path), 0, 0, tuple(files))


CONTENTS = {
    "config.json": b"{}",
    "1_Pooling/config.json": b"{1}",
    "model.safetensors": bytes(range(256)) * 5,
    "empty": b"",
}


def rendered(entries: tuple[Entry, ...]) -> bytes:
    return b"".join(layer_chunks(entries))


def read(content: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return archive.getmembers()


def test_the_form_of_a_model_layer_is_pinned(tmp_path: Path) -> None:
    content = rendered(model_entries(tree(tmp_path, CONTENTS)))
    assert Digest.of(content).hex == PINNED


def test_a_model_layer_has_entries_for_all_parents_and_sorted_names(tmp_path: Path) -> None:
    model = replace(tree(tmp_path, CONTENTS), uid=1000, gid=2000)
    found = [(item.name, item.isdir(), item.mode, item.uid, item.gid) for item in read(rendered(model_entries(model)))]
    assert found == [
        ("app", True, 0o755, 0, 0),
        ("app/models", True, 0o755, 0, 0),
        ("app/models/m", True, 0o755, 1000, 2000),
        ("app/models/m/1_Pooling", True, 0o755, 1000, 2000),
        ("app/models/m/1_Pooling/config.json", False, 0o644, 1000, 2000),
        ("app/models/m/config.json", False, 0o644, 1000, 2000),
        ("app/models/m/empty", False, 0o644, 1000, 2000),
        ("app/models/m/model.safetensors", False, 0o644, 1000, 2000),
    ]


def test_nothing_of_this_host_stands_in_a_layer(tmp_path: Path) -> None:
    for item in read(rendered(model_entries(tree(tmp_path, CONTENTS)))):
        assert (item.mtime, item.uname, item.gname, item.pax_headers) == (0, "", "", {})


_MAKE = """
import os, sys, pathlib
sys.path.insert(0, os.getcwd())
umask, uid, order, root = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
os.umask(umask)
from tests.unit.builder.test_layer import CONTENTS, tree, rendered, model_entries
names = sorted(CONTENTS, reverse=order == "reverse")
if uid: os.setuid(uid)
made = tree(root, {name: CONTENTS[name] for name in names})
for number, name in enumerate(names):
    os.utime(root / name, (number * 1e6 + uid, number * 1e6))
    os.chmod(root / name, 0o600 if number % 2 else 0o777)
sys.stdout.buffer.write(rendered(model_entries(made)))
"""


@pytest.mark.parametrize(("umask", "uid", "order", "locale"), [(0, 0, "", "C"), (0o77, 4711, "reverse", "C.UTF-8")])
def test_the_layer_is_the_same_on_any_host(tmp_path: Path, umask: int, uid: int, order: str, locale: str) -> None:
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "LC_ALL": locale,
        "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "7",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    uid = uid if os.geteuid() == 0 else 0
    arguments = [sys.executable, "-c", _MAKE, str(umask), str(uid), order or "-", str(tmp_path)]
    made = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, check=True)
    assert Digest.of(made.stdout).hex == PINNED


@pytest.mark.parametrize(
    "name", ["模型/重み.bin", "a" * 90 + "/" + "b" * 200, "x" * 101, "y" * 100, "é", "ends " + "w" * 94]
)
def test_names_that_need_pax_headers_are_read_back_by_other_programs(tmp_path: Path, name: str) -> None:
    entries = with_parents([Entry(name, size=3, source=b"abc"), Entry("l", "symlink", 0o777, target="t" * 150)])
    archive = tmp_path / "layer.tar"
    archive.write_bytes(rendered(entries))
    names = {item.name: item for item in read(archive.read_bytes())}
    assert name in names
    assert names["l"].linkname == "t" * 150
    listed = subprocess.run(
        ["tar", "tf", archive, "--quoting-style=literal"],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    assert name in listed.stdout.decode().splitlines()


def test_sizes_and_owners_beyond_ustar_get_pax_headers() -> None:
    size = (8 << 30) + 1
    first = next(layer_chunks([Entry("big", size=size, uid=2**31 - 1, gid=2**21, source=b"")]))
    with tarfile.open(fileobj=io.BytesIO(first + bytes(1024))) as archive:
        member = archive.next()
    assert member is not None
    assert (member.size, member.uid, member.gid) == (size, 2**31 - 1, 2**21)


@pytest.mark.parametrize("name", [".wh.model", "sub/.wh..wh..opq", ".wh.dir/x"])
def test_a_whiteouts_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="whiteout"):
        model_entries(tree(tmp_path, {name: b""}))


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "./a", "a\nb", "a\\b", "", "\udc80", "n" * 256])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(BuildError):
        with_parents([Entry(name)])


def test_a_name_twice_and_a_file_above_another_are_refused() -> None:
    with pytest.raises(BuildError, match="twice"):
        with_parents([Entry("a"), Entry("a")])
    with pytest.raises(BuildError, match="below 'a'"):
        with_parents([Entry("a/b"), Entry("a")])
    with pytest.raises(BuildError, match="below 'a'"):
        with_parents([Entry("a", "symlink", target="b"), Entry("a/b/c")])


@pytest.mark.parametrize("content", [b"{]", b"{", b"{}x", None])
def test_a_file_that_is_not_as_locked_is_named(tmp_path: Path, content: bytes | None) -> None:
    entries = model_entries(tree(tmp_path, {"config.json": b"{}", "other": b"o"}))
    if content is None:
        (tmp_path / "config.json").unlink()
    else:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ChangedFileError, match=r"config\.json") as caught:
        rendered(entries)
    assert caught.value.entry.source == tmp_path / "config.json"
    assert caught.value.exit_code == 5


def test_the_observer_hears_of_every_byte_of_the_files(tmp_path: Path) -> None:
    heard: list[int] = []
    model = tree(tmp_path, CONTENTS)
    list(layer_chunks(model_entries(model), heard.append))
    assert sum(heard) == model.size


def test_entries_of_derived_layers_keep_their_modes_and_links() -> None:
    entries = with_parents(
        [directory_entry("opt/cache", 0o700, 5, 6), Entry("opt/cache/l", "symlink", 0o777, 5, 6, target="../x")]
    )
    found = {item.name: item for item in read(rendered(entries))}
    assert (found["opt/cache"].mode, found["opt/cache"].uid, found["opt/cache"].gid) == (0o700, 5, 6)
    assert (found["opt/cache/l"].linkname, found["opt/cache/l"].issym()) == ("../x", True)
    assert found["opt"].mode == 0o755


def test_a_hub_cache_is_what_the_hubs_client_resolves(tmp_path: Path) -> None:
    commit = "c" * 40
    made = hub_cache_tree(
        tree(tmp_path, {"config.json": b'{"a": 1}', "sub/w.bin": b"w"}, "/cache"), "org/name", commit, ["v1", "main"]
    )
    assert made.path == PurePosixPath("/cache/models--org--name")
    (tmp_path / "root").mkdir()
    with tarfile.open(fileobj=io.BytesIO(rendered(model_entries(made)))) as archive:
        archive.extractall(tmp_path / "root", filter="data")
    folder = tmp_path / "root/cache/models--org--name"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        file.path for file in made.model_files
    ]
    assert list((folder / "blobs").iterdir()) == []
    script = f"""
from huggingface_hub import hf_hub_download, snapshot_download
for revision in (None, "main", "v1", "{commit}"):
    path = hf_hub_download("org/name", "sub/w.bin", cache_dir="{tmp_path}/root/cache", revision=revision)
    assert open(path, "rb").read() == b"w", path
    assert snapshot_download("org/name", cache_dir="{tmp_path}/root/cache", revision=revision).endswith("{commit}")
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
