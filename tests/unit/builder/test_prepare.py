"""What decides whether prepared outputs are kept, and how models are laid out for the commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from bundler.builder.engine_build.values import BuiltImage, PrivateParts
from bundler.builder.model_tree import ModelTree, TreeFile
from bundler.builder.prepare import Preparation, stage_tree
from bundler.builder.recipe import PrepareSpec
from bundler.core.digest import Digest


def tree(content: bytes = b"w", path: str = "/app/m") -> ModelTree:
    file = TreeFile("a/model.bin", len(content), Digest.of(content), content)
    return ModelTree("m", PurePosixPath(path), 0, 0, (file,), ("blobs", "deep/er"))


def wanted() -> Preparation:
    spec = PrepareSpec(name="x", run=("true",), outputs=(PurePosixPath("/srv/x"),))
    return Preparation((spec,), BuiltImage("p:1", "sha256:1", (), PrivateParts()), (tree(),), {"A": "1"}, "t")


def test_the_key_is_that_of_image_models_and_commands() -> None:
    first = wanted()
    (spec,) = first.specs
    others = [
        replace(first, base=replace(first.base, image_id="sha256:2")),
        replace(first, models=(tree(b"other"),)),
        replace(first, models=(tree(path="/app/n"),)),
        replace(first, specs=(spec.model_copy(update={"run": ("false",)}),)),
        replace(first, specs=(spec.model_copy(update={"outputs": (PurePosixPath("/srv/y"),)}),)),
        replace(first, specs=(spec.model_copy(update={"user": "1000"}),)),
        replace(first, env={"A": "2"}),
    ]
    assert len({first.key, *(each.key for each in others)}) == len(others) + 1
    # What differs in each run is no part of it.
    assert replace(first, base=replace(first.base, tag="p:2"), token="u").key == first.key


def test_models_are_laid_out_readable_and_without_a_copy(tmp_path: Path) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"weights")
    source.chmod(0o600)
    model = tree()
    model = replace(model, files=(*model.files, TreeFile("w", 7, Digest.of(b"weights"), source)))
    folder = stage_tree(model, tmp_path / "staged")
    assert (folder / "w").stat().st_ino == source.stat().st_ino
    modes = {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert modes == {"a": 0o755, "a/model.bin": 0o644, "blobs": 0o755, "deep": 0o755, "deep/er": 0o755, "w": 0o644}


@pytest.mark.parametrize("linked", [True, False])
def test_a_snapshot_of_links_is_followed(tmp_path: Path, linked: bool) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"weights")
    if linked:
        (tmp_path / "link").symlink_to(source)
    path = tmp_path / ("link" if linked else "weights")
    model = replace(tree(), files=(TreeFile("w", 7, Digest.of(b"weights"), path),))
    staged = stage_tree(model, tmp_path / "staged") / "w"
    assert not staged.is_symlink() and staged.read_bytes() == b"weights"
