"""ocr-search's service on this host, with the libraries of its image: what it reads and finds, its web service, its errors."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from testbed import weights
from testbed.recipe_python import recipe_python

RECIPE = Path(__file__).parents[2] / "recipes" / "ocr-search"
DETECTOR = "onnx/PP-OCRv6/det/PP-OCRv6_det_small.onnx"
RECOGNISER = "onnx/PP-OCRv6/rec/PP-OCRv6_rec_small.onnx"
SHIPPED = ("bakery", "lighthouse")


@pytest.fixture(scope="module")
def python() -> Path:
    return recipe_python(RECIPE)


@pytest.fixture(scope="module")
def pages(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([python, RECIPE / "pages" / "draw.py", folder], check=True, timeout=300)
    shutil.copy(RECIPE / "pages" / "questions.json", folder)
    return folder


@pytest.fixture(scope="module")
def two_pages(pages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for name in SHIPPED:
        shutil.copy(pages / f"{name}.jpg", folder)
    return folder


@pytest.fixture
def own_ppocr(tmp_path: Path) -> Path:
    """A copy whose parts a test may spoil."""
    return Path(shutil.copytree(weights.ppocr(), tmp_path / "ppocr"))


def environment(**more: str | Path) -> dict[str, str]:
    """Of a program of the service; nothing of it may speak to anybody."""
    given = {"MINILM_DIR": weights.minilm(), "PPOCR_DIR": weights.ppocr(), "PYTHONPATH": RECIPE, **more}
    silent = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # as in the image
    return {**os.environ, **silent, **{name: str(value) for name, value in given.items()}}


def run(python: Path, *arguments: str | Path, **more: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], env=environment(**more), cwd="/", capture_output=True, text=True, timeout=600, check=False
    )


# -- pages


def test_the_same_pages_are_drawn_each_time_and_all_of_them(python: Path, pages: Path, tmp_path: Path) -> None:
    subprocess.run([python, RECIPE / "pages" / "draw.py", tmp_path], check=True, timeout=300)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in pages.glob("*.jpg")}
    assert len(set(drawn.values())) == 10


def test_every_question_has_its_page_and_the_answer_stands_there_and_not_in_the_question() -> None:
    questions = json.loads((RECIPE / "pages" / "questions.json").read_text("utf-8"))
    assert {one["page"] for one in questions} == {path.stem for path in (RECIPE / "pages").glob("*.txt")}
    for one in questions:
        text = " ".join((RECIPE / "pages" / f"{one['page']}.txt").read_text("utf-8").split())
        assert one["answer"] in text
        assert one["answer"].lower() not in one["question"].lower()


# -- recall

_NO_WAY_OUT = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("huggingface_hub", "httpx", "transformers", "torch"):
            raise ModuleNotFoundError(name)
def audit(event, arguments):
    # urllib3 makes and binds a socket when it is imported, to see whether the host has IPv6.
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        raise SystemExit(f"network: {event} {arguments}")
sys.meta_path.insert(0, Absent())
sys.addaudithook(audit)
sys.argv = ["recall", "--page", "ferry", "--page", "lighthouse", "--page", "observatory"]
runpy.run_module("service.recall", run_name="__main__", alter_sys=True)
"""


def test_recall_and_times_are_measured_without_a_connection(python: Path, pages: Path) -> None:
    done = run(python, "-c", _NO_WAY_OUT, PAGES_DIR=pages)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    found = re.search(r"recall@1 after the rerank: (\d\.\d\d) \(\d+ of 6, 3 pages\)", done.stdout)
    assert found is not None
    assert float(found[1]) >= 0.9
    assert re.search(r"^recall@1 by the vectors alone: \d\.\d\d", done.stdout, re.MULTILINE)
    assert re.search(r"^a page, median: OCR [\d.]+ ms, embedding [\d.]+ ms$", done.stdout, re.MULTILINE)
    assert re.search(r"^a question, median: embedding [\d.]+ ms, nearest [\d.]+ ms, rerank", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^\w+\.jpg: \d+ lines, OCR", done.stdout, re.MULTILINE)) == 3


def test_wrong_answers_are_noticed(python: Path, two_pages: Path, tmp_path: Path) -> None:
    shutil.copy(two_pages / "bakery.jpg", tmp_path)
    wrong = [{"page": "bakery", "question": "Which ship was wrecked?", "answer": "Marianne"}]
    (tmp_path / "questions.json").write_text(json.dumps(wrong))
    done = run(python, "-m", "service.recall", PAGES_DIR=tmp_path)
    assert done.returncode == 1
    assert "recall@1 after the rerank: 0.00 (0 of 1, 1 pages)" in done.stdout


@pytest.mark.parametrize("content", ["", "[{}]", '[{"page": "x"}]', "7"])
def test_questions_that_are_none_are_an_error(python: Path, two_pages: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(two_pages, tmp_path, dirs_exist_ok=True)
    (tmp_path / "questions.json").write_text(content)
    done = run(python, "-m", "service.recall", PAGES_DIR=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {tmp_path / 'questions.json'}: ")


# -- models that are not whole


def test_without_the_models_it_names_the_path_in_the_image(python: Path, two_pages: Path) -> None:
    settings = environment(PAGES_DIR=two_pages)
    for name in ("MINILM_DIR", "PPOCR_DIR"):
        del settings[name]
    done = subprocess.run(
        [python, "-m", "service.server"], env=settings, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: model at /app/models/minilm: no such directory\n")
    assert "bundler build" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", [DETECTOR, RECOGNISER])
@pytest.mark.parametrize("kept", [None, 100_000])
def test_a_missing_or_cut_ocr_model_is_named_and_never_replaced(
    python: Path, own_ppocr: Path, name: str, kept: int | None
) -> None:
    model = own_ppocr / name
    if kept is None:
        model.unlink()
    else:
        os.truncate(model, kept)
    done = run(python, "-m", "service.load", PPOCR_DIR=own_ppocr)
    told = f"{own_ppocr}: missing {name}" if kept is None else f"{model}: not readable"
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: model at {told}"), done.stderr
    assert "Traceback" not in done.stderr
    assert "bundler build" in done.stderr


def test_a_cut_embedding_model_is_named(python: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(weights.minilm(), tmp_path / "minilm")
    os.truncate(copy / "model.safetensors", 1_000_000)
    done = run(python, "-m", "service.load", MINILM_DIR=copy)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: model at {copy / 'model.safetensors'}: not whole"), done.stderr


def test_a_relative_path_is_refused(python: Path) -> None:
    done = run(python, "-m", "service.load", PPOCR_DIR="models/ppocr")
    assert done.stderr.startswith("error: model at models/ppocr: not an absolute path\n")


def test_a_folder_without_pages_is_an_error(python: Path, tmp_path: Path) -> None:
    done = run(python, "-m", "service.server", PAGES_DIR=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no pages (*.png, *.jpg) in {tmp_path}"), done.stderr


# -- pictures

_PICTURES = """
import io, json
from PIL import Image
from service import pictures

def sent(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()

def scan(mode, paper, ink):
    image = Image.new(mode, (64, 48), paper)
    image.paste(ink, (8, 8, 24, 24))
    return image

palette = scan("P", 1, 0)
palette.putpalette([0, 0, 0, 0, 0, 0])
half = scan("I;16", 65535, 0)
half.putpixel((36, 16), 32768)  # paste cuts off
phone = {"save_all": True, "append_images": [Image.new("RGB", (32, 32))], "quality": 100}
turned = Image.Exif()
turned[0x0112] = 6
seen = {
    "one bit": sent(scan("1", 1, 0)),
    "grey": sent(scan("L", 255, 0)),
    "grey, transparent paper": sent(scan("LA", (0, 0), (0, 255))),
    "colours, transparent paper": sent(scan("RGBA", (0, 0, 0, 0), (0, 0, 0, 255))),
    "palette, transparent paper": sent(palette, transparency=1),
    "one colour is transparent": sent(scan("RGB", (1, 2, 3), (0, 0, 0)), transparency=(1, 2, 3)),
    "16 bits": sent(half),
    "printer's colours": sent(scan("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), "JPEG", quality=100),
    "of a phone": sent(scan("RGB", "white", "black"), "MPO", **phone),
    "turned": sent(scan("L", 255, 0), "JPEG", exif=turned, quality=100),
}
found = {}
for name, content in seen.items():
    picture = pictures.decode(content)
    pixels = picture.pixels()
    ink = pixels[16, picture.size[0] - 16] if name == "turned" else pixels[16, 16]
    found[name] = [picture.media_type, list(picture.size), list(pixels.shape), pixels[2, 2].tolist(), ink.tolist()]
half_grey = pictures.decode(seen["16 bits"]).pixels()[16, 36].tolist()

def refusal(action):
    try:
        action()
    except pictures.PictureError as error:
        return [error.status, str(error)]

def stumbles(image):
    raise IndexError("out of range")

frames = [scan("L", 255, 0), scan("L", 255, 100)]
refused = {
    "animated": refusal(lambda: pictures.decode(sent(frames[0], save_all=True, append_images=frames[1:]))),
    "float": refusal(lambda: pictures.opaque(Image.new("F", (64, 48)))),
}
pictures.ImageOps.exif_transpose = stumbles
refused["stumbles"] = refusal(lambda: pictures.decode(seen["grey"]))
print(json.dumps([found, half_grey, refused]))
"""


def test_scans_of_every_kind_are_dark_on_white(python: Path) -> None:
    done = run(python, "-c", _PICTURES)
    assert done.returncode == 0, done.stderr
    found, half_grey, refused = json.loads(done.stdout)
    for name, (media_type, size, shape, paper, ink) in found.items():
        assert media_type == ("image/jpeg" if name in {"printer's colours", "of a phone", "turned"} else "image/png")
        assert size == ([48, 64] if name == "turned" else [64, 48]), name
        assert shape == [size[1], size[0], 3], name
        assert min(paper) > 250, name
        assert max(ink) < 5, name
    assert half_grey == [128, 128, 128]
    assert refused == {
        "animated": [400, "an animated PNG: one picture is one page"],
        "float": [400, "pixels of the kind F are not read: save it in RGB or in grey"],
        "stumbles": [400, "the picture is not whole: out of range"],
    }


_FULL = """
import io, json, tracemalloc
import numpy as np
from PIL import Image
from service import library, pictures

class Reader:
    def read(self, pixels, progress):
        assert pixels.shape == (2000, 1000, 3)
        return []

class Embedder:
    pass

stream = io.BytesIO()
Image.new("L", (1000, 2000), 255).save(stream, "PNG")
kept = library.Library(Reader(), Embedder())
tracemalloc.start()
for number in range(library.MAX_WAITING):
    kept.add("page", stream.getvalue())
waiting, _ = tracemalloc.get_traced_memory()
refused = []
def refusal():
    try:
        kept.add("page", b"no picture")
    except pictures.PictureError as error:
        refused.append(error.status)
refusal()
for number in range(library.MAX_PAGES):
    page = kept.read_next()
    assert (page.state, page.picture.size) == ("ready", (1000, 2000))
    if number < library.MAX_PAGES - library.MAX_WAITING:
        kept.add("page", stream.getvalue())
refusal()
read, most = tracemalloc.get_traced_memory()
print(json.dumps([waiting, read, most, refused]))
"""


def test_pages_are_kept_without_their_pixels_and_room_is_looked_for_first(python: Path) -> None:
    """A page of 6 MB of pixels each time; numpy tells tracemalloc what it takes."""
    done = run(python, "-c", _FULL)
    assert done.returncode == 0, done.stderr
    waiting, read, most, refused = json.loads(done.stdout)
    assert max(waiting, read) < 6_000_000 < most < 20_000_000
    assert refused == [429, 409]


_TWICE = """
import json, os
from pathlib import Path
from service.library import Library
from service.settings import Settings

library = Library.load(Settings.from_environment())
content = Path(os.environ["PAGES_DIR"], "lighthouse.jpg").read_bytes()
names = {}
for name in ("first.jpg", "last.jpg"):
    library.add(name, content)
    page = library.read_next()
    names[page.id] = page.name
hits = library.ask("Which ship was wrecked?", 2)
print(json.dumps([[names[hit.passage.page], hit.score] for hit in hits]))
"""


def test_of_equal_answers_the_one_on_the_page_that_came_last_is_first(python: Path, two_pages: Path) -> None:
    done = run(python, "-c", _TWICE, PAGES_DIR=two_pages)
    assert done.returncode == 0, done.stderr
    (first, best), (second, next_best) = json.loads(done.stdout)
    assert best == next_best
    assert (first, second) == ("last.jpg", "first.jpg")


# -- the web service


@dataclass(frozen=True)
class Web:
    """A running server; ``ask`` gives status, headers and body."""

    port: int

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, value: object = None) -> Any:
        status, _, body = self.ask(method, path, None if value is None else json.dumps(value).encode())
        assert status == 200, body
        return json.loads(body)

    def upload(self, name: str, content: bytes) -> Any:
        """The page when it is read."""
        status, _, body = self.ask("POST", f"/pages?name={quote(name)}", content)
        assert status == 202, body
        id = json.loads(body)["id"]
        deadline = time.monotonic() + 300
        while True:
            page = self.json("GET", f"/pages/{id}")
            if page["state"] not in {"waiting", "reading"}:
                return page
            assert time.monotonic() < deadline, page
            time.sleep(0.1)


@pytest.fixture(scope="module")
def web(python: Path, two_pages: Path) -> Iterator[Web]:
    settings = environment(HOST="127.0.0.1", PORT="0", PAGES_DIR=two_pages)
    command = [python, "-u", "-m", "service.server"]
    with subprocess.Popen(
        command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        match = re.fullmatch(r"listening on port (\d+), 2 pages to read\n", process.stdout.readline())
        try:
            assert match is not None
            web = Web(int(match[1]))
            deadline = time.monotonic() + 300
            while web.json("GET", "/health")["unread"]:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield web
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


def test_an_answer_has_its_place_on_the_page(web: Web) -> None:
    answer = web.json("POST", "/search", {"query": "Which ship was wrecked?", "top_k": 2})
    first, second = answer["hits"]
    assert (first["name"], "Marianne" in first["text"]) == ("lighthouse.jpg", True)
    assert first["score"] > second["score"]
    page = web.json("GET", f"/pages/{first['page']}")
    boxes = [line["box"] for line in page["lines"]]
    assert all(line["box"] in boxes for line in first["lines"])
    assert first["lines"][first["best_line"]]["score"] == max(line["score"] for line in first["lines"])
    tops = [min(y for _, y in line["box"]) for line in first["lines"]]
    # The passage stands in the middle of the page, its lines below each other.
    assert tops == sorted(tops)
    assert 100 < tops[0] < tops[-1] < page["height"] - 100


def test_lines_are_read_in_order_on_a_skewed_page(web: Web) -> None:
    listed = web.json("GET", "/pages")["pages"]
    assert [(page["name"], page["state"]) for page in listed[:2]] == [(f"{name}.jpg", "ready") for name in SHIPPED]
    read = [line["text"] for line in web.json("GET", f"/pages/{listed[1]['id']}")["lines"]]
    written = [line for line in (RECIPE / "pages" / "lighthouse.txt").read_text("utf-8").splitlines() if line]
    assert [re.sub(r"\W", "", line).lower() for line in read] == [re.sub(r"\W", "", line).lower() for line in written]


def test_an_uploaded_page_is_read_and_found(web: Web, pages: Path) -> None:
    content = (pages / "garden.jpg").read_bytes()
    page = web.upload("Gärten & <b>more</b>.jpg", content)
    assert (page["state"], page["name"]) == ("ready", "Gärten & <b>more</b>.jpg")
    assert page["done"] == page["found"] == len(page["lines"])
    _, headers, body = web.ask("GET", f"/pages/{page['id']}/image")
    assert (headers["content-type"], body) == ("image/jpeg", content)
    (hit,) = web.json("POST", "/search", {"query": "What do the carnivorous plants eat?", "top_k": 1})["hits"]
    assert (hit["page"], "crickets" in hit["text"]) == (page["id"], True)


def test_a_page_without_text_is_read_too(web: Web, python: Path) -> None:
    blank = subprocess.run(
        [
            python,
            "-c",
            "import sys; from PIL import Image; Image.new('L', (200, 100), 255).save(sys.stdout.buffer, 'PNG')",
        ],
        capture_output=True,
        check=True,
    ).stdout
    page = web.upload("blank.png", blank)
    assert (page["state"], page["lines"]) == ("ready", [])
    assert web.json("POST", "/search", {"query": "Which ship was wrecked?"})["hits"]


def test_the_page_and_all_its_parts_come_from_here(web: Web) -> None:
    for path in ("/", "/app.js", "/style.css"):
        status, headers, body = web.ask("GET", path)
        assert status == 200
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", body)
    index = web.ask("GET", "/")[2].decode()
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script>", index)


def png(width: int, height: int) -> bytes:
    """A PNG whose header says so; nothing stands behind it."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    out.write(struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)))
    empty = b"IDAT"
    out.write(struct.pack(">I", 0) + empty + struct.pack(">I", zlib.crc32(empty)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 415, "neither a PNG nor a JPEG"),
        (b"%PDF-1.7 not a picture", 415, "neither a PNG nor a JPEG"),
        (b"GIF89a" + bytes(100), 415, "neither a PNG nor a JPEG"),
        (png(6000, 6000), 413, "6000 x 6000 pixels"),
        (png(60000, 60000), 413, "pixels"),
        (png(20, 400), 400, "20 x 400 pixels"),
        (png(400, 400), 400, "not whole"),
        (bytes((10 << 20) + 1), 413, "larger than 10485760 bytes"),
    ],
)
def test_what_is_no_page_is_refused_with_the_reason(web: Web, content: bytes, status: int, says: str) -> None:
    before = web.json("GET", "/health")["pages"]
    code, _, body = web.ask("POST", "/pages?name=x.png", content)
    assert code == status, body
    assert says in json.loads(body)["error"]
    assert web.json("GET", "/health")["pages"] == before


def test_a_cut_jpeg_is_refused(web: Web, pages: Path) -> None:
    content = (pages / "garden.jpg").read_bytes()
    code, _, body = web.ask("POST", "/pages?name=x.jpg", content[: len(content) // 2])
    assert (code, "not whole" in json.loads(body)["error"]) == (400, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/nowhere", b"{}", 404, "/nowhere"),
        ("/search", b"{", 400, "not JSON"),
        ("/search", b"\xff", 400, "not JSON"),
        ("/search", b"[]", 400, "query"),
        ("/search", b'{"query": "  "}', 400, "query"),
        ("/search", b'{"query": "half of \\ud83d"}', 400, "query"),
        ("/search", b"[" * 8000, 400, "not JSON"),
        ("/search", b'{"query": "x", "top_k": 0}', 400, "top_k"),
        ("/search", b'{"query": "x", "top_k": true}', 400, "top_k"),
        ("/search", b" " * 9000, 413, "larger"),
    ],
)
def test_http_errors_say_what_is_wrong(web: Web, path: str, body: bytes, status: int, says: str) -> None:
    code, _, answer = web.ask("POST", path, body)
    assert code == status
    assert says in json.loads(answer)["error"]


@pytest.mark.parametrize(
    "path", ["/pages/p99", "/pages/p1/text", "/pages/p1/image/x", "/pages/", "/../etc/passwd", "/web/app.js"]
)
def test_what_is_not_there_is_404(web: Web, path: str) -> None:
    assert web.ask("GET", path)[0] == 404


def test_http_without_a_length(web: Web) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    connection.putrequest("POST", "/pages")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()


def test_healthcheck(web: Web, python: Path) -> None:
    assert run(python, "-m", "service.healthcheck", PORT=str(web.port)).returncode == 0
    assert run(python, "-m", "service.healthcheck", PORT="1").returncode == 1


# -- the recipe's files


def test_dockerfiles_are_for_every_builder_and_the_packages_own_models_go() -> None:
    for name in ("Dockerfile.base", "Dockerfile"):
        text = (RECIPE / name).read_text()
        assert not re.search(r"--mount|<<|^#\s*syntax\s*=", text, re.MULTILINE), name
    assert "rm -r /opt/venv/lib/python3*/site-packages/rapidocr/models" in (RECIPE / "Dockerfile.base").read_text()
