"""``bundler init --from`` where bundler was installed from its wheel: the same recipes, to the last byte and mode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from bundler.builder.init_from import init_from
from bundler.builder.shipped_recipes import shipped_recipes
from tests.support.distributions import wheel_of_sdist


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the wheel, and with what it depends on from the Python of the tests."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True, timeout=900)
    python = place / "venv" / "bin" / "python"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    (place / "made").mkdir()
    argv = [str(python), "-m", "pip", "install", *options, str(wheel_of_sdist(place / "made"))]
    subprocess.run(argv, check=True, timeout=900)
    # A line of a .pth is searched last, and .pth files there, such as that of an editable bundler, are not read.
    (site,) = (place / "venv").glob("lib/python3*/site-packages")
    (site / "of-the-tests.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    return python


def call(installed: Path, *arguments: str, cwd: Path) -> str:
    argv = [str(installed.with_name("bundler")), *arguments]
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree(directory: Path) -> dict[str, tuple[bytes, int]]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mode) for path in paths}


def test_it_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    argv = [str(installed), "-c", "import bundler; print(bundler.__file__)"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=900)
    assert Path(done.stdout.strip()).is_relative_to(installed.parents[1])


def test_it_offers_the_same_recipes(installed: Path, tmp_path: Path) -> None:
    help_text = " ".join(call(installed, "init", "--help", cwd=tmp_path).split())
    assert f"Start from one of these: {', '.join(shipped_recipes())}." in help_text


@pytest.mark.parametrize("origin", shipped_recipes())
def test_what_it_writes_is_what_a_checkout_writes(origin: str, installed: Path, tmp_path: Path) -> None:
    """pip compiled the programs of the recipes there, which is nobody's business."""
    call(installed, "init", "--from", origin, "mine", cwd=tmp_path)
    init_from(origin, tmp_path / "of-the-checkout", "mine")
    assert tree(tmp_path / "mine") == tree(tmp_path / "of-the-checkout")
    call(installed, "lint", "mine", cwd=tmp_path)
