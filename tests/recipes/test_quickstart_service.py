"""The quickstart service on this host: its embeddings against the reference, its answers, its programs, its errors."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.reference import reference_embeddings
from testbed.weights import minilm

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart"
sys.path.insert(0, str(RECIPE))

from service.bert import erf  # noqa: E402 - the service is no part of the distribution, its folder comes first
from service.embedder import Embedder  # noqa: E402
from service.errors import ModelError, ServiceError  # noqa: E402
from service.search import SearchIndex, read_passages  # noqa: E402

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Word",
    "",
    "日本の首都は東京です。駅の近くの図書館で本を借りました。",
    "Ünïcödé: naïve façade, Łódź, Αθήνα, Москва, عربى, हिन्दी",
    "Emoji 🚀🧪 and zero-width\u200bspace, tab\t, soft\u00adhyphen, e\u0301 decomposed",
    "[CLS] special [SEP] tokens [PAD] in [MASK] the text [UNK]",
    "def main() -> int: return 0  # https://example.org/a?b=c&d=%20",
    "1234567890 3.14159 -42 1e-12 €99.90",
    "supercalifragilisticexpialidocious " * 30,
    "A long text runs on and on beyond what the model reads. " * 60,
    "Just beyond a hundred and twenty-eight tokens there was once a limit. " * 11,
)


@pytest.fixture(scope="session")
def model() -> Path:
    return minilm()


@pytest.fixture(scope="session")
def embedder(model: Path) -> Embedder:
    return Embedder.load(model)


@pytest.fixture(scope="session")
def index(embedder: Embedder) -> SearchIndex:
    return SearchIndex.build(embedder, RECIPE / "texts")


@pytest.fixture
def own_model(model: Path, tmp_path: Path) -> Path:
    """A copy whose parts a test may spoil; the weights are a link to the real ones."""
    copy = tmp_path / "minilm"
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("model.safetensors"))
    (copy / "model.safetensors").symlink_to(model / "model.safetensors")
    return copy


def environment(model: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "MODEL_DIR": str(model), "PYTHONPATH": str(RECIPE), **more}


def run(model: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment(model, **more), cwd="/", capture_output=True, text=True, check=False)


# -- the numbers


def test_erf() -> None:
    values = np.concatenate([np.linspace(-6, 6, 4001), [-0.0, 1e-8, -40, 40]]).astype(np.float32)
    expected = np.array([math.erf(float(value)) for value in values])
    assert np.abs(erf(values) - expected).max() < 1e-6


def test_embeddings_are_those_of_sentence_transformers(model: Path, embedder: Embedder) -> None:
    """One at a time and in one padded batch, against the reference in a batch and one at a time."""
    batched, single = np.array(reference_embeddings(model, SENTENCES, batch_sizes=(len(SENTENCES), 1)))
    ours_batched = embedder.embed(SENTENCES)
    ours_single = np.concatenate([embedder.embed([sentence]) for sentence in SENTENCES])
    assert len({tuple(row) for row in batched.round(3)}) == len(SENTENCES)  # the reference tells them apart
    for ours in (ours_batched, ours_single):
        for reference in (batched, single):
            cosines = (ours * reference).sum(axis=1)
            assert cosines.min() >= 0.9999, dict(zip(SENTENCES, cosines, strict=True))
            assert np.abs(ours - reference).max() < 1e-4


def test_vectors_have_length_one_and_padding_does_not_show(embedder: Embedder) -> None:
    batched = embedder.embed(SENTENCES)
    assert np.allclose(np.linalg.norm(batched, axis=1), 1, atol=1e-5)
    assert np.allclose(batched[1], embedder.embed([SENTENCES[1]])[0], atol=1e-5)


def test_the_libraries_under_test_are_those_of_the_image() -> None:
    pinned = dict(re.findall(r"^(\w+)==(\S+)", (RECIPE / "requirements.txt").read_text(), re.MULTILINE))
    assert set(pinned) == {"numpy", "safetensors", "tokenizers"}
    assert pinned == {name: importlib.metadata.version(name) for name in pinned}


# -- the answers


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("Why did two rival cities lose to a new one?", "canberra.txt"),
        ("How are the pavements kept free of ice?", "reykjavik.txt"),
        ("What makes the ocean go up and down?", "tides.txt"),
        ("Why does dough grow?", "bread.txt"),
        ("How do insects tell each other where food is?", "honeybees.txt"),
        ("Who invented movable type?", "printing.txt"),
        ("How were people first protected against an infectious disease?", "vaccination.txt"),
        ("Do sea animals give milk?", "whales.txt"),
        ("Why are there colours in the sky after a shower?", "rainbow.txt"),
        ("When is a board game drawn?", "chess.txt"),
        ("What made tall buildings possible?", "elevator.txt"),
        ("Which fabric is made by an insect?", "silk.txt"),
    ],
)
def test_questions_find_their_text(index: SearchIndex, question: str, source: str) -> None:
    first, second = index.search(question, top_k=2)
    assert first.passage.source == source
    assert first.score > second.score


def test_a_folder_of_ones_own(embedder: Embedder, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The key lies under\nthe third flower pot.\n\n\n\nThe bin is emptied on Tuesday.\n")
    (tmp_path / "notes.md").write_text("not a text\n")
    index = SearchIndex.build(embedder, tmp_path)
    assert index.passages[0].text == "The key lies under the third flower pot."
    assert index.search("When is the rubbish collected?", 5)[0].passage.text == "The bin is emptied on Tuesday."
    assert len(index.search("anything", 5)) == 2


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no texts"):
        read_passages(tmp_path)


# -- the programs

_NO_WAY_OUT = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("huggingface_hub", "requests", "httpx", "httpx2", "transformers", "torch"):
            raise ModuleNotFoundError(name)
def audit(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"network: {event} {arguments}")
sys.meta_path.insert(0, Absent())
sys.addaudithook(audit)
runpy.run_module("service.selfcheck", run_name="__main__", alter_sys=True)
"""


def test_selfcheck_answers_without_hub_library_or_socket(model: Path) -> None:
    done = run(model, "-c", _NO_WAY_OUT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Reykjavik is the capital of Iceland" in done.stdout
    assert "3 of 3 questions answered" in done.stdout


def test_selfcheck_notices_wrong_answers_and_says_no_expected_word(model: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("Nothing of interest stands here.\n")
    done = run(model, "-m", "service.selfcheck", TEXTS_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "0 of 3 questions answered" in done.stdout
    assert "capital" not in done.stdout + done.stderr


def test_search_from_the_command_line(model: Path) -> None:
    done = run(model, "-m", "service.search", "--top-k", "1", "Why do ships see a lamp from afar?")
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert re.match(r"0\.\d{3}  lighthouse\.txt  Augustin Fresnel", line)


# -- a model that is not whole


def test_without_the_model_it_names_the_path_in_the_image(model: Path) -> None:
    assert not Path("/app/models/minilm").exists(), "this test needs a host without the image's own path"
    settings = environment(model)
    del settings["MODEL_DIR"]
    command = [sys.executable, "-m", "service.server"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: model at /app/models/minilm: no such directory\n")
    assert "bundler build" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name",
    ["config.json", "sentence_bert_config.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors"],
)
def test_a_missing_part_is_named(own_model: Path, name: str) -> None:
    (own_model / name).unlink()
    with pytest.raises(ModelError, match=re.escape(f"{own_model}: missing {name}")):
        Embedder.load(own_model)


@pytest.mark.parametrize(
    "name", ["config.json", "sentence_bert_config.json", "1_Pooling/config.json", "tokenizer.json"]
)
@pytest.mark.parametrize("content", ["", "{", "[1, 2"])
def test_a_damaged_part_is_named(own_model: Path, name: str, content: str) -> None:
    (own_model / name).write_text(content)
    with pytest.raises(ModelError, match=re.escape(str(own_model / name))):
        Embedder.load(own_model)


@pytest.mark.parametrize("kept", [0, 7, 4000, 1_000_000])
def test_truncated_weights_are_named(model: Path, own_model: Path, kept: int) -> None:
    weights = own_model / "model.safetensors"
    weights.unlink()
    with (model / "model.safetensors").open("rb") as whole:
        weights.write_bytes(whole.read(kept))
    done = run(own_model, "-m", "service.selfcheck")
    assert done.returncode == 1
    assert f"error: model at {weights}: not whole" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("config.json", "hidden_act", "relu"), ("1_Pooling/config.json", "pooling_mode_mean_tokens", False)],
)
def test_another_kind_of_model_is_refused(own_model: Path, name: str, key: str, value: object) -> None:
    path = own_model / name
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelError, match=re.escape(str(path))):
        Embedder.load(own_model)


# -- HTTP


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-u", "-m", "service.server"]
    settings = environment(model, HOST="127.0.0.1", PORT="0")
    with subprocess.Popen(
        command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        match = re.fullmatch(r"listening on port (\d+), 21 passages\n", process.stdout.readline())
        try:
            assert match is not None
            yield process, int(match[1])
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=120) == 0


def ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body=body.encode() if body is not None else None, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_http_search(server: tuple[Any, int]) -> None:
    status, body = ask(server[1], "POST", "/search", json.dumps({"query": "Was ist ein Vulkan? Volcano!", "top_k": 2}))
    answer = json.loads(body)
    assert status == 200
    assert [set(hit) for hit in answer["hits"]] == [{"source", "text", "score"}] * 2
    assert answer["hits"][0]["source"] == "volcano.txt"
    assert answer["hits"][0]["score"] > answer["hits"][1]["score"]


def test_http_health_page_and_healthcheck(server: tuple[Any, int], model: Path) -> None:
    assert ask(server[1], "GET", "/health") == (200, '{"status": "ok", "passages": 21}')
    status, page = ask(server[1], "GET", "/")
    assert status == 200
    assert "<form>" in page
    assert run(model, "-m", "service.healthcheck", PORT=str(server[1])).returncode == 0
    assert run(model, "-m", "service.healthcheck", PORT="1").returncode == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/nowhere", "{}", 404, "/nowhere"),
        ("/search", "{", 400, "not JSON"),
        ("/search", "[]", 400, "query"),
        ("/search", '{"query": "  "}', 400, "query"),
        ("/search", '{"query": "half of \\ud83d"}', 400, "query"),
        ("/search", "[" * 60_000, 400, "not JSON"),
        ("/search", '{"query": "x", "top_k": 0}', 400, "top_k"),
        ("/search", '{"query": "x", "top_k": true}', 400, "top_k"),
        ("/search", '{"query": "x", "top_k": "3"}', 400, "top_k"),
        ("/search", " " * 70_000, 413, "larger"),
    ],
)
def test_http_errors_say_what_is_wrong(server: tuple[Any, int], path: str, body: str, status: int, says: str) -> None:
    code, answer = ask(server[1], "POST", path, body)
    assert code == status
    assert says in json.loads(answer)["error"]
    assert ask(server[1], "GET", "/health")[0] == 200


def test_http_without_a_length(server: tuple[Any, int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=120)
    connection.putrequest("POST", "/search")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()
    assert ask(server[1], "GET", "/nowhere")[0] == 404


# -- the recipe's files


def test_dockerfiles_are_for_every_builder() -> None:
    """No heredocs, mounts or frontend lines: Docker 20.10's builders take none of them, or would pull."""
    for name in ("Dockerfile.base", "Dockerfile"):
        text = (RECIPE / name).read_text()
        assert not re.search(r"--mount|<<|^#\s*syntax\s*=", text, re.MULTILINE), name
