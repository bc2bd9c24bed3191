"""The services of ocr-rag with models of the real architectures: right numbers, and the faults that raise no error.

All of it runs without a network, and every attempt to use one is noted.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bundler.builder.recipe_checks import GoldenSpec
from bundler.builder.recipe_file import load_recipe
from bundler.builder.source_policy.lint import lint_paths
from bundler.installer.checks.comparison import largest_deviation
from testbed.hub_repo import Snapshot
from testbed.reference import reference_python
from testbed.stand_ins import RERANKER, SARASHINA, YOMITOKU, stand_ins
from testbed.stand_ins import run as run_in_reference
from testbed.weights import minilm
from tests.support.ocr_rag import RECIPE, Image, copy_of, lay_out
from tests.support.waiting import wait_until

LINES = ["The library in Tokyo lends books.", "It is open: 8-20 (not on Sundays)!"]
QUERY, TEXTS = (
    "テスト",
    ["ドキュメント1", "ドキュメント2", "The quick brown fox jumps over the lazy dog, again and again."],
)
#: What the recipe's check of pages tolerates.
(_PIXELS,) = (
    each.tolerance for each in load_recipe(RECIPE).checks if isinstance(each, GoldenSpec) and each.name == "pages-read"
)
_RECORD = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import record
texts, pairs = record.sarashina(Path(sys.argv[2])), record.reranker(Path(sys.argv[3]))
print(json.dumps([{"inputs": record.TEXTS, "outputs": texts}, {"inputs": record.PAIRS, "outputs": pairs}]))
"""
_RECORD_PAGES = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import record
print(json.dumps(record.pages(Path(sys.argv[2]))))
"""
_READ_THOSE_IN = """
import sys
from pathlib import Path
from backend import read
read.PAGES = Path(sys.argv.pop(1))
read.main()
"""
_TURN = """
import sys
from PIL import Image
for path in sys.argv[1:]:
    Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
"""
_EXCHANGED = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import record
from backend.model_files import ModelsLock
from backend.services.embedding import sarashina
record.POOLING, record.NORMALIZE, sarashina.POOLING = "mean", True, "mean"
directory, lock = Path(sys.argv[2]), ModelsLock.read(Path(sys.argv[3]))
service = sarashina.SarashinaEmbedding.load(directory, lock.named("sarashina"))
print(json.dumps([record.sarashina(directory), service.embed(record.TEXTS).tolist()]))
"""
#: A small one without custom code, of another architecture than the recipe's, and what its card would say of it.
_OTHER_RERANKER = """
import sys
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], local_files_only=True)
torch.manual_seed(7)
sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, num_labels=1, initializer_range=0.5, **sizes)
BertForSequenceClassification(config).save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
"""
_EXCHANGED_RERANKER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import record, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from backend.model_files import ModelsLock
from backend.services.reranker import llama_nv
record.PROMPT = llama_nv.PROMPT = "{query}[SEP]{passage}"
llama_nv.LONGEST, llama_nv.PADDING_SIDE = 64, "right"
directory, lock = Path(sys.argv[2]), ModelsLock.read(Path(sys.argv[3]))
service = llama_nv.LlamaNvReranker.load(directory, lock.named("reranker"))
tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
model = AutoModelForSequenceClassification.from_pretrained(directory, local_files_only=True).eval()
with torch.inference_mode():
    card = [model(**tokenizer(f"{query}[SEP]{passage}", return_tensors="pt")).logits.item() for query, passage in record.PAIRS]
service.score("a question", ["a passage that is longer than the model reads " * 20])
print(json.dumps([card, record.reranker(directory), service.score_pairs(record.PAIRS)]))
"""


class Golden:
    """What the recipe's own recorder wrote of a model: inputs, outputs, and the batches that a check makes of them."""

    def __init__(self, recorded: dict[str, Any]) -> None:
        self.inputs, self.outputs = recorded["inputs"], np.array(recorded["outputs"])
        self.batches = [*([each] for each in self.inputs), self.inputs]

    def apart(self, batches: list[Any]) -> tuple[float, float]:
        """How far outputs are from the recorded ones, at most: each input alone, and all in a batch."""
        *alone, together = batches
        return tuple(  # type: ignore[return-value]
            float(np.abs(np.array(found) - self.outputs).max()) for found in ([batch[0] for batch in alone], together)
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The stand-ins as in the image, the cache of custom code filled by the step of the build."""
    found = lay_out(tmp_path_factory.mktemp("ocr-rag") / "app")
    done = found.run("-m", "backend.fill_module_cache")
    assert done.returncode == 0, done.stderr
    assert "llama_bidirectional_model.py" in done.stdout
    return found


@pytest.fixture(scope="module")
def golden() -> tuple[Golden, Golden]:
    """Of the embedding model and of the reranker, by golden/record.py: no line of the service, one input at a time."""
    folders = [str(RECIPE / "golden"), str(stand_ins() / SARASHINA), str(stand_ins() / RERANKER)]
    output = run_in_reference([str(reference_python()), "-c", _RECORD, *folders])
    sarashina, reranker = json.loads(output.splitlines()[-1])
    return Golden(sarashina), Golden(reranker)


def variant(image: Image, root: Path, change: Callable[[Image], object], *, locked: bool = True) -> Image:
    """A copy that was changed, and locked as it then stood: what a lock cannot see is what the service has to."""
    copy = copy_of(image, root)
    change(copy)
    if locked:
        copy.write_lock()
    return copy


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def mean_pooling(image: Image) -> None:
    change_json(
        image.sarashina / "1_Pooling" / "config.json", pooling_mode_mean_tokens=True, pooling_mode_lasttoken=False
    )


def causal_beside_padding(image: Image) -> None:
    """As code is that was written for older releases: nothing of the configuration says which way attention looks."""
    path = image.reranker / "config.json"
    path.write_text(
        json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "is_causal"})
    )
    code = image.reranker / "llama_bidirectional_model.py"
    older = (
        code.read_text().replace(", is_causal: bool = False", "").replace("        self.is_causal = is_causal\n", "")
    )
    assert older.count("is_causal") == 1  # of the attention kernel
    code.write_text(older)


def half_of(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


VARIANTS: dict[str, Callable[[Image], object]] = {
    "no modules.json": lambda image: (image.sarashina / "modules.json").unlink(),
    "mean pooling": mean_pooling,
    "half the vectors": lambda image: half_of(image.sarashina / "model.safetensors"),
    "causal beside padding": causal_beside_padding,
    "causal": lambda image: change_json(image.reranker / "config.json", is_causal=True),
    "half the reranker": lambda image: half_of(image.reranker / "model.safetensors"),
}


@pytest.fixture(scope="module")
def results(
    image: Image, golden: tuple[Golden, Golden], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """All cases by their names, run in one process."""
    root = tmp_path_factory.mktemp("variants")
    variants = {name: variant(image, root / name.replace(" ", "-"), change) for name, change in VARIANTS.items()}
    texts, pairs = (each.batches for each in golden)
    drawn = run_in_reference(
        [
            str(reference_python()),
            "-c",
            "import base64, json, sys; from testbed.stand_ins.page import draw_page;"
            "print(base64.b64encode(draw_page(json.loads(sys.argv[1]))).decode())",
            json.dumps(LINES),
        ]
    ).strip()

    def sarashina(of: Image, **more: object) -> dict[str, object]:
        return {"do": "embed", "directory": str(of.sarashina), "lock": str(of.lock), "batches": texts, **more}

    def reranker(of: Image, **more: object) -> dict[str, object]:
        return {"do": "score", "directory": str(of.reranker), "lock": str(of.lock), "batches": pairs, **more}

    def ocr(**more: object) -> dict[str, object]:
        return {"do": "read", "cache": str(image.yomitoku), "lock": str(image.lock), "page": drawn, **more}

    cases = {
        "vectors": sarashina(image),
        "vectors, padded left": sarashina(image, side="left"),
        "vectors, padded right": sarashina(image, side="right"),
        "vectors from nowhere": {**sarashina(image), "directory": "/app/nowhere/sarashina"},
        "vectors from a relative path": {**sarashina(image), "directory": "models/sarashina"},
        "scores": reranker(image),
        "scores, padded right": reranker(image, side="right"),
        "scores from nowhere": {**reranker(image), "directory": "/app/nowhere/reranker"},
        "rerank_simple": {"do": "rerank_simple", "query": QUERY, "texts": TEXTS, "top_k": 2},
        "page": ocr(),
        "page without an export": ocr(lite=True),
        "pages from nowhere": {**ocr(), "cache": "/app/nowhere/yomitoku"},
        "at once": {
            "do": "at_once",
            "directory": str(image.sarashina),
            "cache": str(image.yomitoku),
            "lock": str(image.lock),
            "page": drawn,
        },
        "settled": {"do": "settled"},
        **{
            name: sarashina(of) if name in ("no modules.json", "mean pooling", "half the vectors") else reranker(of)
            for name, of in variants.items()
        },
        "no modules.json, unasked": {
            "do": "embed_unasked",
            "directory": str(variants["no modules.json"].sarashina),
            "batches": texts,
        },
        "causal beside padding, unasked": {
            "do": "score_unasked",
            "directory": str(variants["causal beside padding"].reranker),
            "batches": pairs,
        },
    }
    done = subprocess.run(
        [str(reference_python()), "-m", "tests.support.ocr_rag_cases"],
        env=with_tests(image.environment()),
        input=json.dumps(list(cases.values())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True))


def with_tests(variables: dict[str, str]) -> dict[str, str]:
    return {**variables, "PYTHONPATH": os.pathsep.join([variables["PYTHONPATH"], str(RECIPE.parents[1])])}


# -- the numbers


@pytest.mark.parametrize("name", ["vectors", "vectors, padded left", "vectors, padded right"])
def test_vectors_are_those_of_the_reference_alone_and_padded(
    results: dict[str, Any], golden: tuple[Golden, Golden], name: str
) -> None:
    assert max(golden[0].apart(results[name]["gave"])) < 1e-4
    assert np.abs(np.diff(golden[0].outputs, axis=0)).max(axis=1).min() > 0.1  # the texts are told apart


@pytest.mark.parametrize("name", ["scores", "scores, padded right"])
def test_scores_are_those_of_the_reference_alone_and_padded(
    results: dict[str, Any], golden: tuple[Golden, Golden], name: str
) -> None:
    assert max(golden[1].apart(results[name]["gave"])) < 1e-3
    assert len(set(golden[1].outputs.round(3))) == len(golden[1].outputs)


def test_another_embedding_model_is_its_files_and_the_pooling_of_its_card(tmp_path: Path) -> None:
    """MiniLM: another architecture, and real weights."""
    image = lay_out(tmp_path / "app", minilm())
    done = image.run("-c", _EXCHANGED, str(RECIPE / "golden"), str(image.sarashina), str(image.lock))
    assert done.returncode == 0, done.stderr
    recorded, served = map(np.array, json.loads(done.stdout.splitlines()[-1]))
    assert np.abs(recorded - served).max() < 1e-5
    assert np.allclose(np.linalg.norm(recorded, axis=1), 1)
    assert image.attempts == ""


def test_another_reranker_is_its_files_and_the_prompt_of_its_card(tmp_path: Path) -> None:
    """One without custom code: the step of the build leaves an empty directory, which is what it has to write."""
    other = tmp_path / "other"
    run_in_reference([str(reference_python()), "-c", _OTHER_RERANKER, str(minilm()), str(other)])
    image = lay_out(tmp_path / "app", reranker=other)
    filled = image.run("-m", "backend.fill_module_cache")
    assert filled.returncode == 0, filled.stderr
    assert list(image.modules.iterdir()) == []
    done = image.run("-c", _EXCHANGED_RERANKER, str(RECIPE / "golden"), str(image.reranker), str(image.lock))
    assert done.returncode == 0, done.stderr
    card, recorded, served = map(np.array, json.loads(done.stdout.splitlines()[-1]))
    assert np.abs(card - recorded).max() < 1e-5
    assert np.abs(card - served).max() < 1e-5
    assert np.abs(np.diff(card)).min() > 1e-3  # the pairs are told apart
    assert image.attempts == ""


def test_the_recorder_takes_nothing_from_the_service() -> None:
    tree = ast.parse((RECIPE / "golden" / "record.py").read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    tops = {str(name).partition(".")[0] for name in modules}
    assert {"torch", "transformers", "yomitoku"} <= tops
    assert not {"backend", "app", "sentence_transformers"} & tops


# -- pages


PICTURES = sorted(path.name for path in (RECIPE / "backend" / "pages").iterdir())


@pytest.fixture(scope="module")
def recorded_pages(image: Image) -> list[Any]:
    """By golden/record.py: the library alone, which finds its models by their names."""
    done = image.run("-c", _RECORD_PAGES, str(RECIPE / "golden"), str(image.yomitoku))
    assert done.returncode == 0, done.stderr
    return cast("list[Any]", json.loads(done.stdout.splitlines()[-1]))


def read_pages(image: Image, folder: Path = RECIPE / "backend" / "pages") -> list[Any]:
    """By the command that the recipe's golden check runs: each page alone, then all of them."""
    batches = json.dumps([*([name] for name in PICTURES), PICTURES])
    done = image.run("-c", _READ_THOSE_IN, str(folder), batches)
    assert done.returncode == 0, done.stderr
    *alone, together = json.loads(done.stdout.splitlines()[-1])
    assert [page for (page,) in alone] == together
    return cast("list[Any]", together)


def apart(recorded: list[Any], read: list[Any]) -> float:
    """As the golden check sees it; infinite where a text differs."""
    return largest_deviation(recorded, read).difference


def other_weights(image: Image, repo: str) -> None:
    """The model's numbers in the opposite order, as a commit of their own: it loads, and reads something else."""
    snapshot = image.snapshot(repo)
    path = snapshot / "model.safetensors"
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    path.write_bytes(content[:begin] + np.frombuffer(content[begin:], "<f4")[::-1].tobytes())
    commit = Snapshot.of(snapshot).commit
    snapshot.rename(snapshot.with_name(commit))
    (snapshot.parents[1] / "refs" / "main").write_text(commit)


def test_pages_are_read_as_the_library_alone_reads_them(image: Image, recorded_pages: list[Any]) -> None:
    assert apart(recorded_pages, read_pages(image)) == 0
    assert all(page["words"] and page["paragraphs"] for page in recorded_pages)


@pytest.mark.parametrize("repo", YOMITOKU[:2])
def test_golden_outputs_catch_another_recogniser_or_detector(
    image: Image, recorded_pages: list[Any], tmp_path: Path, repo: str
) -> None:
    copy = variant(image, tmp_path / "app", lambda copy: other_weights(copy, repo))
    assert apart(recorded_pages, read_pages(copy)) > _PIXELS


def test_golden_outputs_catch_a_picture_that_is_upside_down(
    image: Image, recorded_pages: list[Any], tmp_path: Path
) -> None:
    shutil.copytree(RECIPE / "backend" / "pages", tmp_path / "pages")
    run_in_reference([str(reference_python()), "-c", _TURN, *map(str, (tmp_path / "pages").iterdir())])
    assert apart(recorded_pages, read_pages(image, tmp_path / "pages")) > _PIXELS


def test_a_page_that_does_not_travel_is_named(image: Image) -> None:
    done = image.run("-m", "backend.read", '[["../pages/library.png"]]')
    assert done.returncode == 1
    assert "there are library.png, opening-hours.png" in done.stderr


def test_the_selfcheck_finds_by_name_what_the_service_does_not_load(image: Image, tmp_path: Path) -> None:
    done = image.run("-m", "backend.selfcheck")
    assert done.returncode == 0, done.stderr
    for repo in YOMITOKU[4:]:
        assert f"ocr: {repo} is found by its name" in done.stdout
    lost = image.run("-m", "backend.selfcheck", HF_HUB_CACHE=str(tmp_path))
    assert lost.returncode == 1
    assert f"the library does not find {YOMITOKU[5]} by its name" in lost.stderr
    assert image.attempts == ""


# -- the reranker


def test_rerank_simple_gives_the_best_first(results: dict[str, Any]) -> None:
    gave = results["rerank_simple"]["gave"]
    best = sorted(range(len(TEXTS)), key=lambda number: -gave["scores"][number])[:2]
    assert [each[:2] for each in gave["results"]] == [[number, TEXTS[number]] for number in best]
    assert gave["results"][0][2] > gave["results"][1][2]
    assert gave["same"], "two that ask at once get one model"


def test_the_prompt_is_the_trained_one_and_the_precision_that_of_the_device(results: dict[str, Any]) -> None:
    assert results["settled"]["gave"] == {
        "prompt": "question:Q \n \n passage:P",
        "cpu": "torch.float32",
        "cuda": "torch.float16",
    }
    assert results["rerank_simple"]["gave"]["dtype"] == "torch.float32"  # the weights are bfloat16


def test_a_page_is_read_from_absolute_paths(results: dict[str, Any], image: Image) -> None:
    gave = results["page"]["gave"]
    assert gave["lines"] == gave["again"] == LINES
    assert gave["asked"] == str(image.snapshot(YOMITOKU[0]))
    assert sorted(gave["from"]) == sorted(str(image.snapshot(name)) for name in YOMITOKU[:4])
    (left, top), *_ = gave["points"][1]
    assert left >= 12
    assert top >= 32


def test_one_batch_and_one_picture_are_in_memory_at_a_time(results: dict[str, Any]) -> None:
    assert results["at once"]["gave"] == [1, 1]


# -- what is wrong is an error, not an answer


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("vectors from nowhere", "ModelError", "/app/nowhere/sarashina: no such directory"),
        ("vectors from a relative path", "EmbeddingModelError", "models/sarashina: not an absolute path"),
        ("scores from nowhere", "ModelError", "/app/nowhere/reranker: no such directory"),
        ("pages from nowhere", "OcrModelError", "/app/nowhere/yomitoku/models--KotaroKinoshita"),
        ("page without an export", "OcrModelError", "the build made no ONNX export"),
        ("no modules.json", "EmbeddingModelError", "the lock itself lacks modules.json"),
        ("mean pooling", "EmbeddingModelError", "with pooling mean, and not with lasttoken"),
        ("half the vectors", "EmbeddingModelError", "does not load: "),
        ("half the reranker", "RerankerModelError", "does not load: "),
        ("causal", "RerankerModelError", "its attention is causal without padding"),
        ("causal beside padding", "RerankerModelError", "its attention is causal in batches that are padded on the"),
    ],
)
def test_a_fault_is_named(results: dict[str, Any], name: str, kind: str, says: str) -> None:
    assert results[name].get("kind") == kind, results[name]
    assert says in results[name]["error"]
    assert "./dev.sh rebuild base" in results[name]["error"]


def test_golden_outputs_catch_mean_pooling(results: dict[str, Any], golden: tuple[Golden, Golden]) -> None:
    """The library loads the directory without ``modules.json``, and gives vectors of the right dimension."""
    gave = results["no modules.json, unasked"]["gave"]
    assert np.array(gave[-1]).shape == golden[0].outputs.shape
    assert min(golden[0].apart(gave)) > 0.1


def test_golden_outputs_catch_attention_that_is_causal_on_padded_batches_alone(
    results: dict[str, Any], golden: tuple[Golden, Golden]
) -> None:
    alone, together = golden[1].apart(results["causal beside padding, unasked"]["gave"])
    assert alone < 1e-3
    assert together > 0.05


# -- no network


def test_nothing_tried_to_call_out(results: dict[str, Any], image: Image) -> None:
    assert results
    assert image.attempts == ""


FALLBACK = """
    MODEL_NAME = "sbintuitions/sarashina-embedding-v1-1b"

    @classmethod
    def load(cls, directory: Path, locked: LockedModel) -> SarashinaEmbedding:
        model_path = str(directory)
        if not directory.is_dir():
            model_path = cls.MODEL_NAME
        return cls(SentenceTransformer(model_path), Loaded("", "", model_path, 0))
"""


@pytest.fixture(scope="module")
def fallen_back(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe with the way to the Hub put back that it once had."""
    recipe = tmp_path_factory.mktemp("fallback") / "recipe"
    shutil.copytree(RECIPE, recipe)
    path = recipe / "backend" / "services" / "embedding" / "sarashina.py"
    head, _, rest = path.read_text().partition("    @classmethod\n")
    path.write_text(head + FALLBACK + "\n    def embed" + rest.partition("    def embed")[2])
    return recipe


def test_the_linter_finds_the_fallback(fallen_back: Path) -> None:
    def found(recipe: Path) -> set[str]:
        return {each.rule for each in lint_paths([recipe]).findings if each.file.endswith("sarashina.py")}

    assert found(RECIPE) == set()
    assert {"fallback", "no-local-only"} <= found(fallen_back)


def test_the_tripwire_sees_the_fallback(fallen_back: Path, image: Image, tmp_path: Path) -> None:
    """In the image it ends without a word of what to do; without the image's offline variables it asks the Hub."""
    copy = variant(image, tmp_path / "app", lambda copy: shutil.rmtree(copy.sarashina), locked=False)
    variables = copy.environment()
    variables["PYTHONPATH"] = os.pathsep.join([str(copy.root / "tripwire"), str(fallen_back), variables["PYTHONPATH"]])
    command = [str(reference_python()), "-m", "backend.embed", '[["a"]]']
    offline = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, check=False)
    assert offline.returncode != 0
    assert "./dev.sh rebuild base" not in offline.stderr
    online = {**variables, "HF_HUB_OFFLINE": "0"}
    with subprocess.Popen(command, env=online, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
        # Refused, it would try again for more than a minute.
        wait_until(lambda: "huggingface.co" in copy.attempts or asking.poll() is not None)
        asking.kill()
    assert "huggingface.co" in copy.attempts
