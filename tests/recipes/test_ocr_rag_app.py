"""ocr-rag over HTTP: uvicorn as in the image, on a socket in the file system, with every way to a network watched."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bundler.builder.recipe_checks import ServeCheckSpec
from bundler.builder.recipe_file import load_recipe
from testbed.reference import reference_python
from testbed.stand_ins import RERANKER, SARASHINA, YOMITOKU
from testbed.stand_ins import run as run_in_reference
from tests.support.ocr_rag import RECIPE, Image, copy_of, lay_out
from tests.support.ocr_rag_server import OverUnixSocket, Server, command_of_the_image, serving, uvicorn
from tests.support.waiting import wait_until

LINES = ["Where can I borrow books?", "The library in Tokyo lends them."]
_DRAW = (
    "import json, sys; from testbed.stand_ins.page import draw_page;"
    "print(draw_page(json.loads(sys.argv[1]), sys.argv[2]).hex())"
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """As the build leaves it: the models, the cache of custom code, the exports."""
    found = lay_out(tmp_path_factory.mktemp("ocr-rag") / "app")
    for step in ("fill_module_cache", "export_yomitoku_onnx"):
        done = found.run("-m", f"backend.{step}")
        assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def server(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(Server(image, folder / "socket", folder / "log"), OCR_LITE="1") as found:
        yield found


def drawn(kind: str = "PNG", lines: Sequence[str] = LINES) -> bytes:
    command = [str(reference_python()), "-c", _DRAW, json.dumps(lines), kind]
    return bytes.fromhex(run_in_reference(command).strip())


def test_the_export_that_the_service_uses_is_where_the_recipe_says_by_its_commit_and_no_other(image: Image) -> None:
    exported = {path.name for path in image.exports.iterdir()}
    assert exported == {f"{image.snapshot(YOMITOKU[1]).name}.onnx"}  # the detector's: "--lite" reads a page with it


def test_health_tells_models_commits_and_times(server: Server) -> None:
    status, answer = server.ask("GET", "/health")
    assert (status, answer["status"]) == (200, "ready")
    assert (answer["device"], answer["precision"]) in (("cpu", "float32"), ("cuda", "float16"))
    locked = {each["repo_id"]: each["commit"] for each in json.loads(server.image.lock.read_text())["models"]}
    told = {each["model"] for each in answer["models"]}
    lite = YOMITOKU[5]
    assert told == {f"{name}@{locked[name]}" for name in (SARASHINA, RERANKER, *YOMITOKU[1:4], lite)}
    assert all(each["seconds"] >= 0 and Path(each["path"]).is_dir() for each in answer["models"])
    assert answer["seconds"] > 0


@pytest.mark.parametrize(("seconds", "in_time"), [("4.217", True), ("9", True), ("10.1", False), ("12", False)])
def test_the_recipe_asks_health_whether_ten_seconds_were_enough(server: Server, seconds: str, in_time: bool) -> None:
    (check,) = (each for each in load_recipe(RECIPE).checks if isinstance(each, ServeCheckSpec))
    assert server.ask("GET", str(check.ask))[0] == 200
    said = re.sub(r'"seconds":[\d.]+,"models"', f'"seconds":{seconds},"models"', server.last)
    assert f'"seconds":{seconds},' in said
    assert all(re.search(pattern, said) for pattern in check.expect) is in_time


def test_a_page_is_read(server: Server) -> None:
    status, answer = server.upload(drawn())
    assert status == 200
    assert answer["text"] == "\n\n".join(LINES)
    assert [word["text"] for word in answer["words"]] == LINES
    assert (answer["width"], answer["height"]) > (100, 50)
    assert server.upload(drawn("BMP"))[1] == answer


def test_tables_and_figures_are_part_of_the_text(server: Server) -> None:
    lines = ["# A plan of", "# the house", "Fees", "Item | Price", "Card|", "Loan | 2 EUR", "Closed today"]
    status, answer = server.upload(drawn(lines=lines))
    assert status == 200
    assert answer["text"] == "# A plan of\n\n# the house\n\nFees\n\nItem\tPrice\nCard\nLoan\t2 EUR\n\nClosed today"
    assert [each["text"] for each in answer["paragraphs"]] == ["Fees", "Closed today"]
    (table,), (figure,) = answer["tables"], answer["figures"]
    assert (table["rows"], table["columns"]) == (3, 2)
    places = {(each["row"], each["col"], each["row_span"], each["col_span"]): each for each in table["cells"]}
    assert {place: each["contents"] for place, each in places.items()} == {
        (1, 1, 1, 1): "Item",
        (1, 2, 1, 1): "Price",
        (2, 1, 1, 2): "Card",
        (3, 1, 1, 1): "Loan",
        (3, 2, 1, 1): "2 EUR",
    }
    assert places[1, 1, 1, 1]["box"][0] < places[1, 2, 1, 1]["box"][0] < table["box"][2]
    assert [each["text"] for each in figure["paragraphs"]] == lines[:2]
    assert figure["box"][3] < table["box"][1]


def test_vectors_have_length_one_and_are_those_of_their_texts(server: Server) -> None:
    status, answer = server.post("/embed", texts=LINES)
    vectors = np.array(answer["vectors"])
    assert (status, vectors.shape) == (200, (2, answer["dimension"]))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = np.array(server.post("/embed", texts=LINES[1:])[1]["vectors"])
    assert np.allclose(alone[0], vectors[1], atol=1e-4)


def test_reranking_and_searching(server: Server) -> None:
    texts = [*LINES, "A text about something else.", "本"]
    status, answer = server.post("/rerank", query=LINES[0], texts=texts, top_k=3)
    scores = [each["score"] for each in answer["results"]]
    assert (status, len(scores), scores) == (200, 3, sorted(scores, reverse=True))
    assert all(each["text"] == texts[each["index"]] for each in answer["results"])
    status, found = server.post("/search", query=LINES[0], texts=texts, top_k=2, candidates=1)
    assert status == 200
    (hit,) = found["results"]
    assert (hit["index"], round(hit["similarity"], 4)) == (0, 1)  # the nearest to a text is the text itself
    everything = server.post("/search", query=LINES[0], texts=texts)[1]["results"]
    assert [hit["index"] for hit in everything][:3] == [each["index"] for each in answer["results"]]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/nowhere", "{}", 404, "Not Found"),
        ("/embed", "{", 422, "JSON"),
        ("/embed", "{}", 422, "texts"),
        ("/embed", '{"texts": []}', 422, "at least 1"),
        ("/embed", '{"texts": [""]}', 422, "at least 1 character"),
        ("/embed", '{"texts": [1]}', 422, "string"),
        ("/embed", '{"texts": ["a"], "normalise": true}', 422, "normalise"),
        ("/embed", json.dumps({"texts": ["a"] * 257}), 422, "at most 256"),
        ("/embed", json.dumps({"texts": ["a" * 32_769]}), 422, "at most 32768"),
        ("/rerank", '{"query": "a", "texts": ["b"], "top_k": 0}', 422, "top_k"),
        ("/search", '{"query": "a", "texts": ["b"], "candidates": "5"}', 422, "candidates"),
        ("/embed", r'{"texts": ["\ud800"]}', 422, "texts"),
        ("/embed", r'{"texts": ["a"], "\ud800": 1}', 422, "unicode"),
        ("/rerank", r'{"query": "\udfff", "texts": ["b"]}', 422, "query"),
        ("/rerank", '{"query": "a", "texts": ["b"], "top_k": NaN}', 422, "top_k"),
        ("/rerank", '{"query": "a", "texts": ["b"], "top_k": 1e999}', 422, "top_k"),
        ("/search", '{"query": "a", "texts": ["b"], "candidates": -Infinity}', 422, "candidates"),
        ("/embed", "NaN", 422, "body"),
        ("/search", " " * 20_971_521, 413, "20,971,520 bytes"),
    ],
)
def test_what_cannot_be_answered_is_told_why(server: Server, path: str, body: str, status: int, says: str) -> None:
    code, answer = server.ask("POST", path, body.encode())
    assert code == status
    assert says in json.dumps(answer)
    assert server.ask("GET", "/health")[0] == 200


def test_what_is_no_page_is_told_why(server: Server) -> None:
    assert server.upload(b"not a picture")[0] == 415
    assert server.upload(drawn()[:200])[0] == 415
    assert server.upload(b"")[0] == 415
    assert server.upload(drawn(), part="page")[0] == 422
    assert server.upload(bytes(20 * 1024 * 1024))[0] == 413
    # A header that promises 60,000 x 60,000 pixels in a few bytes.
    status, answer = server.upload(
        b"BM"
        + bytes(8)
        + (54).to_bytes(4, "little")
        + (40).to_bytes(4, "little")
        + (60_000).to_bytes(4, "little") * 2
        + b"\1\0\x18\0"
        + bytes(24)
    )
    assert (status, "pixels" in answer["detail"]) == (413, True)


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    program = Path(__file__).parents[1] / "support" / "ocr_rag_pictures.py"
    made = json.loads(run_in_reference([str(reference_python()), str(program), json.dumps(LINES)]))
    return {name: bytes.fromhex(content) for name, content in made.items()}


@pytest.mark.parametrize(
    "kind",
    [
        "bilevel TIFF",
        "CMYK TIFF",
        "WebP",
        "black on nothing",
        "black on nothing, grey",
        "a palette with a colour that is nothing",
        "16 bits of grey, PNG",
        "16 bits of grey, TIFF",
        "16 bits of grey, white is 0",
        "16 bits of grey, lying",
    ],
)
def test_what_scanners_write_is_read(server: Server, pictures: dict[str, bytes], kind: str) -> None:
    status, answer = server.upload(pictures[kind])
    assert (status, answer.get("text")) == (200, "\n\n".join(LINES)), answer


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("numbers with a point", "pixels are of the kind F"),
        ("32 bits", "pixels are of the kind I"),
        ("two pages", "the file has 2 pages"),
        ("GIF", "PNG, JPEG, TIFF, WEBP, BMP"),
        ("AVIF", "PNG, JPEG, TIFF, WEBP, BMP"),
        ("an AVIF that is cut", "not a picture that can be read"),
        ("a TIFF that is cut", "not a picture that can be read"),
    ],
)
def test_a_picture_that_would_become_an_empty_page_is_refused(
    server: Server, pictures: dict[str, bytes], kind: str, says: str
) -> None:
    status, answer = server.upload(pictures[kind])
    assert (status, says in str(answer["detail"])) == (415, True), answer


def test_a_body_of_unknown_length_is_counted(server: Server) -> None:
    connection = OverUnixSocket(server.path)
    piece = b" " * 1024 * 1024
    try:
        with contextlib.suppress(BrokenPipeError):
            connection.request("POST", "/embed", body=iter([piece] * 21), headers={"Content-Type": "application/json"})
        assert connection.getresponse().status == 413
    finally:
        connection.close()
    assert server.ask("GET", "/health")[0] == 200


@pytest.fixture(scope="module")
def slow(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose reranker answers only when the file ``held`` beside its log is gone."""
    folder = tmp_path_factory.mktemp("slow")
    places = {"app": "tests.support.ocr_rag_held:app", "HELD": str(folder / "held")}
    with serving(Server(image, folder / "socket", folder / "log"), **places) as found:
        yield found


def test_health_answers_while_others_wait_and_too_many_are_told_to_come_again(slow: Server) -> None:
    held = slow.log.with_name("held")
    held.touch()
    with ThreadPoolExecutor(45) as pool:
        try:
            asked = [pool.submit(slow.post, "/rerank", query="a", texts=["b"]) for _ in range(45)]
            wait_until(lambda: sum(each.done() for each in asked) == 45 - 16)
            begun = time.monotonic()
            assert slow.ask("GET", "/health")[0] == 200
            assert time.monotonic() - begun < 2  # the image's own check waits for 4
            with contextlib.closing(OverUnixSocket(slow.path)) as connection:
                connection.request("POST", "/ocr", body=b"")
                refused = connection.getresponse()
                assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        finally:
            held.unlink()
    assert Counter(each.result()[0] for each in asked) == {200: 16, 503: 29}


def test_who_falls_silent_keeps_no_place(slow: Server) -> None:
    with contextlib.ExitStack() as stack:  # the server ends when all are closed
        connections = [stack.enter_context(contextlib.closing(OverUnixSocket(slow.path))) for _ in range(16)]
        for connection in connections:
            connection.putrequest("POST", "/embed")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b'{"texts":')
        assert [connection.getresponse().status for connection in connections] == [400] * 16
        assert slow.post("/embed", texts=["a"])[0] == 200


def test_openapi_describes_all_of_it(server: Server) -> None:
    status, described = server.ask("GET", "/openapi.json")
    assert status == 200
    assert set(described["paths"]) == {"/ocr", "/embed", "/rerank", "/search", "/health"}
    for path in described["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
            assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert server.ask("GET", "/docs")[0] == 404  # its scripts would come from elsewhere


def test_nothing_tried_to_call_out_and_the_log_says_no_hub(server: Server) -> None:
    assert server.ask("GET", "/health")[0] == 200
    assert server.image.attempts == ""
    log = server.log.read_text()
    assert "all models loaded in" in log
    assert "huggingface" not in log.lower()


def test_a_reranker_of_72_kb_ends_the_start_with_what_to_do(image: Image, tmp_path: Path) -> None:
    copy = copy_of(image, tmp_path / "app")
    weights = copy.reranker / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:72_000])
    process = uvicorn(copy, tmp_path / "socket", tmp_path / "log")
    assert process.wait() == 3
    log = (tmp_path / "log").read_text()
    assert f"error: model at {copy.reranker}: model.safetensors has 72,000 bytes and not the" in log
    assert "./dev.sh rebuild base" in log
    assert "Traceback" not in log
    assert copy.attempts == ""


def test_a_fault_that_nobody_foresaw_ends_the_start_too_and_is_told(image: Image, tmp_path: Path) -> None:
    assert command_of_the_image()[-2:] == ["--lifespan", "on"]  # else a start that fails by itself counts as none
    copy = copy_of(image, tmp_path / "app")
    lock = json.loads(copy.lock.read_text())
    lock["models"][0]["files"][0]["size"] = "1"
    copy.lock.write_text(json.dumps(lock))
    process = uvicorn(copy, tmp_path / "socket", tmp_path / "log")
    try:
        assert process.wait(120) == 3
    finally:
        process.kill()
    log = (tmp_path / "log").read_text()
    assert "error: the start failed, and not by a known fault: ValueError(" in log
    assert "Traceback" in log
    assert "startup complete" not in log


def test_the_selfcheck_reads_every_byte_and_asks_everything(image: Image) -> None:
    done = image.run("-m", "backend.selfcheck")
    assert (done.returncode, "all models loaded in" in done.stdout) == (0, True), done.stderr
    assert image.attempts == ""
