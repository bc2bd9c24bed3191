"""A model is a model: shells, pointers, pages and cut files are refused by name, and real repos are not."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.soundness.rules import content_problems, listing_problems, require_sound, require_sound_listing
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedFile, LockedLicense, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError, Problem

WEIGHTS = save({"a": np.ones((4, 8), np.float32), "b": np.zeros(3, np.int64), "c": np.zeros((0, 5), np.float16)})
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 90868376\n"
PAGE = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Welcome to the guest network</body></html>\n"
ONNX = b"\x08\x07\x12\x07pytorch\x3a\x80\x01" + b"g" * 128 + b"\x42\x02\x10\x0d"
GGUF = b"GGUF" + (3).to_bytes(4, "little") + bytes(64)
NO_LICENSE = LockedLicense(id=None, name=None, link=None, gated=False, texts=(), accepted=None)
PLAIN = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}
MODULES = json.dumps(
    [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
).encode()
SENTENCE = {
    **PLAIN,
    "modules.json": MODULES,
    "config_sentence_transformers.json": b"{}",
    "1_Pooling/config.json": b"{}",
    "2_Dense/config.json": b"{}",
    "2_Dense/model.safetensors": WEIGHTS,
}


def pickled() -> bytes:
    """As PyTorch writes it: an archive with a pickle inside."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    return stream.getvalue()


PICKLED = pickled()


def index(*shards: str) -> bytes:
    return json.dumps({"metadata": {}, "weight_map": {f"layer{n}": shard for n, shard in enumerate(shards)}}).encode()


def spec(**values: Any) -> ModelSpec:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return ModelSpec.model_validate({"name": "tiny", "repo": "acme/tiny", "path": "/m/tiny", **values})


def snapshot(root: Path, files: Mapping[str, bytes], **values: Any) -> Snapshot:
    """A model in a store; ``has_safetensors`` is what the files say unless told otherwise."""
    store = ModelStore(root)
    locked = []
    for path, content in sorted(files.items()):
        sha256 = hashlib.sha256(content).hexdigest()
        store.path(sha256).parent.mkdir(parents=True, exist_ok=True)
        store.path(sha256).write_bytes(content)
        locked.append(LockedFile(path=path, size=len(content), sha256=sha256, git_sha1=None))
    model = {
        **{"name": "tiny", "repo_id": "acme/tiny", "canonical_id": "acme/tiny", "revision": "main"},
        **{"commit": "a1" * 20, "include": (), "exclude": (), "license": NO_LICENSE, "library": None},
        "has_safetensors": any(path.endswith(".safetensors") for path in files),
        "files": tuple(locked),
    }
    return Snapshot(LockedModel.model_validate({**model, **values}), store)


def found(root: Path, files: Mapping[str, bytes], wanted: ModelSpec | None = None, **values: Any) -> list[Problem]:
    """What both stages find."""
    made = snapshot(root, files, **values)
    return [*listing_problems(wanted or spec(), made.model), *content_problems(wanted or spec(), made)]


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, [str(each) for each in problems]
    assert problems[0].remedy
    return problems[0]


# What must be refused by name.


def test_a_shell_of_72_kb_is_no_model(tmp_path: Path) -> None:
    files = {f"part{number}.json": b" " * 6000 for number in range(11)} | {"modeling.py": b"#" * 6104}
    made = snapshot(tmp_path, files)
    problem = only(listing_problems(spec(), made.model))  # nothing had to be brought for it
    assert problem.where == f"model tiny, acme/tiny@{'a1' * 20}"
    assert problem.what == "is a shell, not a model: 12 files, 72,104 bytes, none of them weights"
    assert "allow: [no-weights]" in problem.remedy
    with pytest.raises(DownloadError, match="model tiny is not a whole model: one finding") as caught:
        require_sound_listing([(spec(), made.model)])
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("beside", ["training_args.bin", "optimizer.pt", "rng_state_0.pth"])
def test_what_a_trainer_leaves_is_no_model(tmp_path: Path, beside: str) -> None:
    assert "none of them weights" in only(found(tmp_path, {"config.json": b"{}", beside: PICKLED})).what


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.onnx", "pytorch_model.bin", "spiece.model", "config.json"]
)
def test_a_pointer_is_named(tmp_path: Path, name: str) -> None:
    problem = only(found(tmp_path, {**PLAIN, name: POINTER}, has_safetensors=False))
    assert problem.where == f"tiny/{name}"
    assert problem.what == "is a pointer of Git LFS, not the file that it points to"
    assert "lock again" in problem.remedy


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "pytorch_model.bin", "config.json", "vocab.txt"])
@pytest.mark.parametrize("page", [PAGE, b"\xef\xbb\xbf<HTML>"])
def test_a_page_is_named(tmp_path: Path, name: str, page: bytes) -> None:
    problem = only(found(tmp_path, {**PLAIN, name: page}, has_safetensors=False))
    assert (problem.where, problem.what) == (f"tiny/{name}", "is a web page (HTML), not what its name says")


@pytest.mark.parametrize("kept", [4, 8, 60, len(WEIGHTS) // 2, len(WEIGHTS) - 1])
def test_cut_safetensors_are_named(tmp_path: Path, kept: int) -> None:
    problem = only(found(tmp_path, {**PLAIN, "model.safetensors": WEIGHTS[:kept]}))
    assert problem.where == "tiny/model.safetensors"
    assert problem.what.startswith("is cut")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("model.onnx", ONNX[:90], "is cut: it needs at least 142 bytes, 90 are there"),
        ("model.onnx", ONNX[:12], "is cut inside a field"),
        ("model.onnx", b"hello world", "is not ONNX"),
        ("model.onnx", b"", "has 0 bytes"),
        ("model.gguf", b"ggml" + bytes(60), "is not GGUF"),
        ("weights.bin", PICKLED[:-30], "is cut: it is an archive without its end"),
        ("model.safetensors", b"{}" * 40, "is not safetensors"),
        ("model.safetensors.index.json", b"[]", "no `weight_map`"),
        ("model.safetensors.index.json", b"{", "no `weight_map`"),
    ],
)
def test_weights_that_are_none(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    problems = found(tmp_path, {**PLAIN, name: content}, has_safetensors=False)
    assert {each.where for each in problems} == {f"tiny/{name}"}
    assert what in problems[0].what


def test_a_file_of_another_size_than_the_lock_has(tmp_path: Path) -> None:
    made = snapshot(tmp_path, PLAIN)
    weights = next(file for file in made.model.files if file.path == "model.safetensors")
    with made.path(weights).open("ab") as stream:
        stream.write(b"x")
    problem = only(content_problems(spec(), made))
    assert problem.what == f"has {len(WEIGHTS) + 1} bytes here, {len(WEIGHTS)} in the lock"


def test_all_findings_at_once(tmp_path: Path) -> None:
    files = {"config.json": PAGE, "model-00001-of-00003.safetensors": POINTER, "model-00003-of-00003.safetensors": b"x"}
    wanted = spec(require=["*.model"], min_size="1GB")
    problems = found(tmp_path, files, wanted)
    assert [each.where for each in problems] == [
        f"model tiny, acme/tiny@{'a1' * 20}",
        "model tiny",
        "tiny/model-00002-of-00003.safetensors",
        "tiny/config.json",
        "tiny/model-00001-of-00003.safetensors",
        "tiny/model-00003-of-00003.safetensors",
    ]
    made = snapshot(tmp_path, files)
    for require in (lambda: require_sound_listing([(wanted, made.model)]), lambda: require_sound([(wanted, made)])):
        with pytest.raises(DownloadError, match="3 findings") as caught:
            require()
        assert {*caught.value.problems} < {*problems}


def test_all_models_are_judged_before_anything_is_said(tmp_path: Path) -> None:
    shell, whole = snapshot(tmp_path, {"config.json": b"{}"}), snapshot(tmp_path, PLAIN)
    pairs = [(spec(), shell.model), (spec(name="good"), whole.model), (spec(name="other"), shell.model)]
    with pytest.raises(DownloadError, match="2 models are not whole: 2 findings") as caught:
        require_sound_listing(pairs)
    assert [each.where.split(",")[0] for each in caught.value.problems] == ["model tiny", "model other"]
    require_sound_listing(pairs[1:2])


# What a recipe says.


@pytest.mark.parametrize("pattern", ["modules.json", "1_Pooling/*", "*.onnx", "onnx/"])
def test_required_patterns(tmp_path: Path, pattern: str) -> None:
    assert repr(pattern) in only(found(tmp_path, PLAIN, spec(require=["*.json", pattern]))).what
    there = {**PLAIN, "modules.json": b"[]", "1_Pooling/config.json": b"{}", "onnx/model.onnx": ONNX}
    assert found(tmp_path, there, spec(require=[pattern])) == []


def test_the_least_size(tmp_path: Path) -> None:
    assert found(tmp_path, PLAIN, spec(min_size=len(WEIGHTS))) == []
    problem = only(found(tmp_path, PLAIN, spec(min_size="4GB")))
    assert "3 files; `min_size:` wants 4,000,000,000" in problem.what


def test_each_finding_that_a_recipe_may_insist_on(tmp_path: Path) -> None:
    tokenizer = {"tokenizer.json": b"{}", "config.json": b"{}"}
    assert found(tmp_path, tokenizer) and not found(tmp_path, tokenizer, spec(allow=["no-weights"]))
    both = {**PLAIN, "pytorch_model.bin": PICKLED}
    assert found(tmp_path, both) and not found(tmp_path, both, spec(allow=["pickled-weights"]))
    parts = {**PLAIN, "modules.json": MODULES, "model-00001-of-00002.safetensors": WEIGHTS}
    assert found(tmp_path, parts) and not found(tmp_path, parts, spec(allow=["incomplete-parts"]))


def test_nothing_waives_a_damaged_file(tmp_path: Path) -> None:
    everything = spec(allow=["no-weights", "incomplete-parts", "pickled-weights"])
    assert only(found(tmp_path, {**PLAIN, "model.safetensors": WEIGHTS[:-1]}, everything))


# Pickles.


def test_pickles_are_refused_where_the_repo_has_safetensors(tmp_path: Path) -> None:
    shards = {f"pytorch_model-0000{number}-of-00003.bin": PICKLED for number in (1, 2, 3)}
    made = snapshot(tmp_path, {"config.json": b"{}", **shards}, has_safetensors=True)  # which were not taken
    problem = only(listing_problems(spec(), made.model))
    assert problem.where == "tiny/pytorch_model-00001-of-00003.bin"
    assert "and 2 more; the repo has safetensors" in problem.what
    assert 'exclude: ["pytorch_model-*-of-00003.bin"]' in problem.remedy
    assert "allow: [pickled-weights]" in problem.remedy
    assert found(tmp_path, {"config.json": b"{}", **shards}) == []


@pytest.mark.parametrize("name", ["x.pt", "x.pth", "x.ckpt", "x.pkl", "sub/pytorch_model.bin", "adapter_model.bin"])
def test_names_of_pickles(tmp_path: Path, name: str) -> None:
    made = snapshot(tmp_path, {**PLAIN, name: PICKLED})
    assert only(listing_problems(spec(), made.model)).where == f"tiny/{name}"
    assert content_problems(spec(), made) == []


@pytest.mark.parametrize("content", [PICKLED, pickle.dumps({"a": 1}, protocol=2)])
def test_a_pickle_under_a_name_that_does_not_say_so(tmp_path: Path, content: bytes) -> None:
    made = snapshot(tmp_path, {**PLAIN, "model.bin": content})
    assert listing_problems(spec(), made.model) == []
    assert only(content_problems(spec(), made)).where == "tiny/model.bin"


def test_bins_of_openvino_and_ctranslate2_are_no_pickles(tmp_path: Path) -> None:
    files = {**PLAIN, "openvino/openvino_model.bin": bytes(300), "openvino/openvino_model.xml": b"<?xml?>"}
    assert (
        found(tmp_path, {**files, "model.bin": b"\x06\x00\x00\x00\x0bWhisperSpec", "training_args.bin": PICKLED}) == []
    )


# Indexes.


def test_an_index_names_only_what_is_there(tmp_path: Path) -> None:
    shards = {f"model-0000{number}-of-00002.safetensors": WEIGHTS for number in (1, 2)}
    whole = {"config.json": b"{}", "model.safetensors.index.json": index(*shards), **shards}
    assert found(tmp_path, whole) == []
    del whole["model-00002-of-00002.safetensors"]
    by_listing, by_index = found(tmp_path, whole)
    assert by_listing.where == "tiny/model-00002-of-00002.safetensors"
    assert by_index.where == "tiny/model.safetensors.index.json"
    assert by_index.what.endswith("not there: model-00002-of-00002.safetensors")


def test_an_index_below_speaks_of_its_own_folder(tmp_path: Path) -> None:
    files = {**PLAIN, "unet/x.safetensors.index.json": index("model.safetensors")}
    assert "unet/model.safetensors" in only(found(tmp_path, files)).what
    assert found(tmp_path, {**files, "unet/model.safetensors": WEIGHTS}) == []


def test_an_index_that_no_loader_comes_to(tmp_path: Path) -> None:
    absent = index("pytorch_model-00001-of-00001.bin")
    assert found(tmp_path, {**PLAIN, "pytorch_model.bin.index.json": absent}) == []
    assert found(tmp_path, {**PLAIN, "model.safetensors.index.fp16.json": index("model.fp16-1.safetensors")}) == []
    only(found(tmp_path, {**PLAIN, "model.safetensors.index.json": index("other.safetensors")}))
    only(found(tmp_path, {"config.json": b"{}", "x.onnx": ONNX, "pytorch_model.bin.index.json": absent}))


# sentence-transformers.


def test_a_whole_model_of_sentence_transformers(tmp_path: Path) -> None:
    assert found(tmp_path, SENTENCE, library="sentence-transformers") == []


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("modules.json", "takes mean pooling"),
        ("1_Pooling/config.json", "modules.json has a module Pooling there"),
        ("2_Dense/config.json", "modules.json has a module Dense there"),
        ("2_Dense/model.safetensors", "holds no weights"),
        ("config.json", "modules.json has a module Transformer there"),
    ],
)
@pytest.mark.parametrize("library", ["sentence-transformers", None])
def test_a_part_that_was_left_out(tmp_path: Path, missing: str, what: str, library: str | None) -> None:
    files = {path: content for path, content in SENTENCE.items() if path != missing}
    problem = only(found(tmp_path, files, library=library))
    assert problem.where in (f"tiny/{missing}", "tiny/2_Dense")
    assert what in problem.what
    assert "allow: [incomplete-parts]" in problem.remedy


def test_the_librarys_word_is_enough_to_miss_the_modules(tmp_path: Path) -> None:
    assert found(tmp_path, PLAIN) == []
    assert only(found(tmp_path, PLAIN, library="sentence-transformers")).where == "tiny/modules.json"


def test_cross_encoders_have_no_modules(tmp_path: Path) -> None:
    config = json.dumps({"architectures": ["BertForSequenceClassification"]}).encode()
    assert found(tmp_path, {**PLAIN, "config.json": config}, library="sentence-transformers") == []


def test_other_formats_of_its_models_need_no_modules(tmp_path: Path) -> None:
    assert found(tmp_path, {"config.json": b"{}", "q4.gguf": GGUF}, library="sentence-transformers") == []


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'[{"type": "x"}]', b"["])
def test_modules_that_are_none(tmp_path: Path, content: bytes) -> None:
    assert only(found(tmp_path, {**SENTENCE, "modules.json": content})).where == "tiny/modules.json"


# Real repos, and layouts of real repos.


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": b"{}", "pytorch_model.bin": PICKLED},
        {"config.json": b"{}", "pytorch_model.bin": pickle.dumps({}, protocol=2), "sparse_linear.pt": PICKLED},
        {"PP-OCRv5_det.onnx": ONNX, "PP-OCRv5_rec.onnx": ONNX, "dict.txt": b"a\nb"},
        {"q4-00001-of-00002.gguf": GGUF, "q4-00002-of-00002.gguf": GGUF, "README.md": b"<html>"},
        {"inference.pdmodel": b"x", "inference.pdiparams": b"x"},
        {"saved_model.pb": b"x", "variables/variables.data-00000-of-00001": b"x"},
        {**PLAIN, "modeling_own.py": b"class Model: ...", "config.json": b'{"auto_map": {}}', "page.html": PAGE},
        {"model.tflite": b"\x1c\x00\x00\x00TFL3"},
        {"adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS, "training_args.bin": PICKLED},
    ],
    ids=["bin", "bge-m3", "pp-ocr", "gguf", "paddle", "saved-model", "custom-code", "tflite", "lora"],
)
def test_layouts_of_real_repos(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert found(tmp_path, files) == []
