"""What the service of ocr-rag takes for a model: what recipe.lock says, to the byte, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.builder.recipe_file import load_recipe
from testbed.hub_repo import Snapshot
from tests.support.safetensors_files import safetensors_file

RECIPE = Path(__file__).parents[2] / "recipes" / "ocr-rag"
sys.path.insert(0, str(RECIPE))

from backend import model_files, no_fallback  # noqa: E402 - the recipe is no part of the distribution
from backend.batches import read_pairs, read_texts  # noqa: E402
from backend.errors import ModelError, ServiceError  # noqa: E402
from backend.model_files import LockedFile, LockedModel, ModelsLock, require_whole  # noqa: E402
from backend.settings import Settings  # noqa: E402
from backend.yomitoku_models import ALL, DETECTOR, OcrModelError, write_configs  # noqa: E402

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model's directory, as long a path as one has."""
    target = tmp_path / "app" / "reranker_models" / "llama-nv-reranker"
    (target / "1_Pooling").mkdir(parents=True)
    (target / "config.json").write_text('{"transformers_version": "5.24.0"}')
    (target / "1_Pooling" / "config.json").write_text("{}")
    (target / "code.py").write_text("causal = False\n")
    safetensors_file(target / "model.safetensors", 100_000)
    return target


@pytest.fixture
def locked(directory: Path) -> LockedModel:
    """Large files by sha256, small ones by git's digest, as the Hub tells them."""
    files = Snapshot.of(directory).files.values()
    return LockedModel(
        "reranker",
        "nvidia/model",
        COMMIT,
        tuple(LockedFile(f.path, f.size, f.sha256, None if f.sha256 else f.blob_id) for f in files),
    )


def test_what_is_locked_is_whole(directory: Path, locked: LockedModel) -> None:
    assert {bool(file.sha256) for file in locked.files} == {True, False}
    require_whole(directory, locked)
    require_whole(directory, locked, thorough=True)


def spoil_by_file(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.write_text("not a directory")


def empty(directory: Path) -> None:
    shutil.rmtree(directory)
    (directory / "1_Pooling").mkdir(parents=True)


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no directory": (shutil.rmtree, "no such directory"),
    "a file in its place": (spoil_by_file, "not a directory"),
    "an empty directory": (empty, "the directory is empty"),
    "configuration alone": (
        lambda d: (d / "model.safetensors").unlink(),
        "1 of 4 files are missing: model.safetensors",
    ),
    "72 KB of weights": (
        lambda d: (d / "model.safetensors").write_bytes((d / "model.safetensors").read_bytes()[:72_000]),
        "model.safetensors has 72,000 bytes and not the",
    ),
    "weights of no bytes": (lambda d: (d / "model.safetensors").write_bytes(b""), "model.safetensors has 0 bytes"),
    "a byte of the weights": (lambda d: change_a_byte(d / "model.safetensors"), "model.safetensors was altered"),
    "a byte of the code": (lambda d: change_a_byte(d / "code.py"), "code.py was altered"),
    "code that was never there": (lambda d: (d / "more.py").write_text(""), "the lock does not know: more.py"),
    "a link that leads nowhere": (
        lambda d: ((d / "code.py").unlink(), (d / "code.py").symlink_to("gone")),
        "code.py: No such file",
    ),
    "two faults at once": (
        lambda d: (change_a_byte(d / "code.py"), change_a_byte(d / "config.json")),
        "code.py was altered: its digest is not that of the lock; config.json was altered",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_not_is_an_error_that_says_where_what_and_what_to_do(
    directory: Path, locked: LockedModel, name: str
) -> None:
    spoil, says = SPOILED[name]
    spoil(directory)
    with pytest.raises(ModelError) as error:
        require_whole(directory, locked)
    assert str(error.value).startswith(f"model at {directory}: ")
    assert says in str(error.value)
    assert "./dev.sh rebuild base" in str(error.value)


def test_large_files_are_digested_where_that_is_asked_for(
    directory: Path, locked: LockedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "DIGESTED_AT_START", 1000)
    change_a_byte(directory / "model.safetensors")
    require_whole(directory, locked)
    with pytest.raises(ModelError, match="altered"):
        require_whole(directory, locked, thorough=True)


def test_the_rule_says_up_to_which_size_a_start_reads_files() -> None:
    rule = (RECIPE / "POLICY.md").read_text()
    assert rule.count(f"to {model_files.DIGESTED_AT_START // 2**20} MiB") == 2
    assert "backend.selfcheck" in rule


# -- the lock


def lock_file(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "recipe.lock"
    path.write_text(content)
    return path


def test_the_lock_tells_models_and_commits(tmp_path: Path, locked: LockedModel) -> None:
    files = [{"path": f.path, "size": f.size, "sha256": f.sha256, "git_sha1": f.git_sha1} for f in locked.files]
    model = {"name": "reranker", "repo_id": "nvidia/model", "commit": COMMIT, "files": files}
    lock = ModelsLock.read(lock_file(tmp_path, json.dumps({"format": 1, "models": [model], "images": []})))
    assert lock.named("reranker") == lock.of_repo("nvidia/model") == locked
    assert locked.told == f"nvidia/model@{COMMIT}"
    assert replace(locked, commit=None).told == "nvidia/model"
    with pytest.raises(ServiceError, match="has 0 of sarashina"):
        lock.named("sarashina")


def test_bundlers_own_lock_is_read(tmp_path: Path, locked: LockedModel) -> None:
    from bundler.builder.lock import Lock, LockedFile, LockedLicense, LockedModel, write_lock

    model = LockedModel(
        name="reranker",
        repo_id="nvidia/model",
        revision="main",
        include=("*",),
        exclude=(),
        canonical_id="nvidia/model",
        commit=COMMIT,
        license=LockedLicense(id=None, name=None, link=None, gated=False, texts=(), accepted=None),
        library=None,
        has_safetensors=True,
        files=tuple(
            LockedFile(path=f.path, size=f.size, sha256=f.sha256, git_sha1=f.git_sha1)
            for f in sorted(locked.files, key=lambda f: f.path)
        ),
    )
    path = tmp_path / "recipe.lock"
    write_lock(path, Lock(format=1, platform="linux/amd64", models=(model,), images=()))
    assert set(ModelsLock.read(path).named("reranker").files) == set(locked.files)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"models": [{}]}', '{"models": 3}'])
def test_a_lock_that_is_none_is_an_error(tmp_path: Path, content: str | None) -> None:
    path = lock_file(tmp_path, content) if content is not None else tmp_path / "recipe.lock"
    with pytest.raises(ServiceError, match=re.escape(str(path))):
        ModelsLock.read(path)


# -- YomiToku's cache


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for model in ALL:
        folder = tmp_path / "yomitoku" / ("models--" + model.repo.replace("/", "--"))
        (folder / "snapshots" / COMMIT).mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(COMMIT)
    return tmp_path / "yomitoku"


def test_each_model_is_named_by_its_absolute_path(cache: Path, tmp_path: Path) -> None:
    (arguments,) = write_configs([DETECTOR], cache, tmp_path).values()
    snapshot = cache / "models--KotaroKinoshita--yomitoku-text-detector-dbnet-v2_1" / "snapshots" / COMMIT
    assert Path(arguments["path_cfg"]).read_text() == f'hf_hub_repo: "{snapshot}"\n'
    assert arguments["model_name"] == "dbnetv2_1"


@pytest.mark.parametrize("content", [None, "", "main", COMMIT + "\n", "f" * 40, "../../snapshots"])
def test_a_reference_that_leads_nowhere_is_an_error(cache: Path, content: str | None) -> None:
    reference = cache / "models--KotaroKinoshita--yomitoku-text-detector-dbnet-v2_1" / "refs" / "main"
    if content is None:
        reference.unlink()
    else:
        reference.write_text(content)
    with pytest.raises(OcrModelError, match=r"dev\.sh rebuild base") as error:
        DETECTOR.snapshot(cache)
    assert str(reference.parents[1]) in str(error.value)


def test_no_relative_path() -> None:
    with pytest.raises(OcrModelError, match="not an absolute path"):
        DETECTOR.snapshot(Path("models/yomitoku"))


# -- the rest that needs no model


def test_places_are_the_images_unless_the_environment_says_otherwise() -> None:
    assert Settings.from_environment({}) == Settings(
        sarashina_dir=Path("/app/models/sarashina"),
        reranker_dir=Path("/app/reranker_models/llama-nv-reranker"),
        yomitoku_dir=Path("/app/models/yomitoku"),
        lock=Path("/app/recipe.lock"),
        ocr_lite=False,
    )
    assert Settings.from_environment({"OCR_LITE": "1", "SARASHINA_DIR": "/x"}).sarashina_dir == Path("/x")


@pytest.mark.parametrize("argument", ["", "{", "[]]", '{"a": 1}', '["a"]', "[[]]", "[[1]]", '[["a"], null]'])
def test_what_is_no_batches_is_an_error(argument: str) -> None:
    for read in (read_texts, read_pairs):
        with pytest.raises(ServiceError, match="the batches "):
            read(argument)


def test_batches() -> None:
    assert read_texts('[["a"], ["a", "b"]]') == [["a"], ["a", "b"]]
    assert read_pairs('[[["q", "p"]]]') == [[("q", "p")]]
    for wrong in ('[[["q"]]]', '[[["q", "p", "r"]]]', '[[["q", 1]]]', '[["qp"]]'):
        with pytest.raises(ServiceError, match="pairs of texts"):
            read_pairs(wrong)


def test_the_libraries_under_test_are_those_of_the_image() -> None:
    from testbed.stand_ins import PACKAGES

    pinned = re.findall(r"^[a-z-]+==\S+", (RECIPE / "requirements.txt").read_text(), re.MULTILINE)
    assert sorted(pinned) == sorted(PACKAGES)


# -- a second look at the code, in the image

ASKED, CANONICAL = "sbintuitions/Sarashina-Embedding-v1-1b", "sbintuitions/sarashina-embedding-v1-1b"
LOCAL = "local_files_only=True"


def test_the_code_as_it_is_has_no_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "recipe.lock"
    repos = {model.repo for model in load_recipe(RECIPE).models}
    models = [{"repo_id": repo, "canonical_id": repo.lower()} for repo in repos]
    lock.write_text(json.dumps({"models": models}))
    monkeypatch.setenv("MODELS_LOCK", str(lock))
    assert no_fallback.main() == 0
    looked_at = len([RECIPE / "app.py", *(RECIPE / "backend").rglob("*.py")])
    assert capsys.readouterr().out == f"{looked_at} files name no repository and load local files only\n"
    assert no_fallback.repos_of(lock) == repos | {repo.lower() for repo in repos}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (f'MODEL_NAME = "{ASKED}"\nmodel = load(MODEL_NAME, {LOCAL})', f":1: names {ASKED}"),
        (f'\nmodel = load(path if there(path) else "{CANONICAL}")', f":2: names {CANONICAL}"),
        (f'load(f"https://mirror.example/{CANONICAL}/resolve/{{branch}}")', f"names {CANONICAL}"),
        ('os.environ["HF_ENDPOINT"] = "https://huggingface.co"', "names huggingface.co"),
        ("model = SentenceTransformer(str(directory))", ":1: SentenceTransformer without local_files_only=True"),
        ("model = st.CrossEncoder(path, local_files_only=False)", "CrossEncoder without"),
        ("model = AutoModel.from_pretrained(path, local_files_only=offline)", "from_pretrained without"),
        ("model = AutoModel.from_pretrained(path, **arguments)", "from_pretrained without"),
        ("path = snapshot_download(name)", "snapshot_download without"),
        ("path = hub.hf_hub_download(name, file)", "hf_hub_download without"),
    ],
)
def test_code_that_could_lead_to_the_hub_is_named(tmp_path: Path, code: str, says: str) -> None:
    file = tmp_path / "sarashina.py"
    file.write_text(code)
    found = list(no_fallback.faults(file, {ASKED, CANONICAL}))
    assert any(fault.startswith(f"{file}:") and says in fault for fault in found), found


def test_code_that_takes_local_files_and_the_names_of_caches_are_no_fallback(tmp_path: Path) -> None:
    (tmp_path / "local.py").write_text(
        f'"""Loads Sarashina."""\nmodel = AutoModel.from_pretrained(str(path), {LOCAL})\n'
    )
    (tmp_path / "yomitoku_models.py").write_text(f'REPO = "{ASKED}"\n')
    for file in tmp_path.iterdir():
        assert list(no_fallback.faults(file, {ASKED, CANONICAL})) == []


def test_a_fallback_in_the_backend_ends_the_look_with_its_place(tmp_path: Path) -> None:
    """As the image has it: the original's fault put back."""
    shutil.copytree(RECIPE / "backend", tmp_path / "backend")
    shutil.copy(RECIPE / "app.py", tmp_path)
    service = tmp_path / "backend" / "services" / "embedding" / "sarashina.py"
    service.write_text(service.read_text().replace("str(directory),", f'"{ASKED}",'))
    lock = tmp_path / "recipe.lock"
    lock.write_text(json.dumps({"models": [{"repo_id": ASKED, "canonical_id": None}]}))
    done = subprocess.run(
        [sys.executable, "-m", "backend.no_fallback"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "MODELS_LOCK": str(lock)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{service}:" in done.stderr
    assert f"names {ASKED}" in done.stderr
