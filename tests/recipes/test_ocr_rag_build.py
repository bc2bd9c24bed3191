"""The recipe ocr-rag all the way, with models of the same architectures: the first build of the original, told again and
finished; the kit; a host without a network; and what is typed there."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed import stand_ins
from testbed.engines import RunningEngine
from tests.conftest import IsolatedHost
from tests.support import ocr_rag_site
from tests.support.ocr_rag_site import (
    APP,
    BASE,
    BUILD_ARGUMENTS,
    CONTAINER,
    LLM,
    RECIPE,
    RERANKER,
    InstalledSite,
    OcrRagSite,
    checks_of,
    commands_of,
    give_checks,
    instructions_of,
    told_commands,
    with_checks,
)
from tests.support.ocr_rag_told import SHELL_SIZE, build_after_that
from tests.support.ocr_rag_wrong_answers import CAUSAL_IN_BATCHES, MEAN_POOLING, UPSIDE_DOWN

#: All that may differ from the recipes that are shipped, word by word.
MAY_DIFFER = {
    "recipe.yaml": [
        ("min_size: 4GB # fp32; recipe.lock has the exact bytes", ""),  # least sizes, which stand-ins do not have
        ("min_size: 2GB # 1.24 G parameters in bf16", ""),
        *[("registry", "engine")] * 4,  # where the images beside come from
        ("1m,", "20m,"),  # how long a busy host may take
        *[("3m", "20m")] * 5,
        ("2m", "20m"),
    ],
    "llm/recipe.yaml": [("3m", "20m")],
}
#: Takes no time, where it matters not what a check does.
LOOKED_AT = {"name": "there", "run": ["test", "-s", f"{RERANKER}/config.json"]}


@dataclass(frozen=True)
class Told:
    """The connected host, and what its build printed."""

    site: OcrRagSite
    build: str


@pytest.fixture(scope="module")
def told(docker26: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with ocr_rag_site.ocr_rag_site(tmp_path_factory.mktemp("connected"), docker26) as site:
        yield Told(site, build_after_that(site))


@pytest.fixture(scope="module")
def there(told: Told, isolated_host: IsolatedHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledSite]:
    """The kit installed on a host without a network, its container running."""
    root = tmp_path_factory.mktemp("isolated")
    site = ocr_rag_site.isolated_site(root, isolated_host.network, isolated_host.engine, told.site.kit)
    installed = site.loader("install", told.site.kit, "--into", site.files, "--progress", "none")
    assert installed.returncode == 0, installed.stderr
    started = site.shell("./dev.sh restart")
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield site
    finally:
        site.shell("docker-compose down --volumes --timeout 0")
        site.run("docker", "rmi", BASE, APP, LLM, *ocr_rag_site.BESIDE)


# -- the build


def test_the_recipe_differs_from_the_one_that_is_shipped_by_what_is_listed_and_nothing_else(told: Told) -> None:
    for name, differs in MAY_DIFFER.items():
        assert _exchanged_words(RECIPE / name, told.site.recipe / name) == differs
    assert set(BUILD_ARGUMENTS) == {"BASE", "VARIANT", "YOMITOKU_LIBRARIES"}
    options = {word for word in told.site.build_options if word.startswith("--")}
    assert options == {"--build-arg", "--accept-licence", "--endpoint", "--wheelhouse", "--progress"}
    recorded = {f"golden/{name}.json" for name in ("sarashina", "reranker", "yomitoku")}
    written = {"recipe.lock", "llm/recipe.lock", *recorded, *MAY_DIFFER}
    for path in RECIPE.rglob("*"):
        name = path.relative_to(RECIPE).as_posix()
        if path.is_file() and "__pycache__" not in path.parts and name not in written:
            assert (told.site.recipe / name).read_bytes() == path.read_bytes(), name


def _exchanged_words(shipped: Path, copy: Path) -> list[tuple[str, str]]:
    """What stands in the one and what in the other, in their order."""
    one, other = (path.read_text("utf-8").split() for path in (shipped, copy))
    opcodes = difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return [(" ".join(one[a:b]), " ".join(other[c:d])) for kind, a, b, c, d in opcodes if kind != "equal"]


@pytest.mark.parametrize(("image", "dockerfile"), [(BASE, "Dockerfile.base"), (APP, "Dockerfile")])
def test_the_builder_told_the_commands_of_all_stages_and_no_others(told: Told, image: str, dockerfile: str) -> None:
    assert told_commands(told.build, image) == commands_of(RECIPE / dockerfile)


@pytest.mark.parametrize(("image", "dockerfile"), [(BASE, "Dockerfile.base"), (APP, "Dockerfile")])
def test_the_steps_that_were_executed_are_those_of_the_dockerfile(
    told: Told, there: InstalledSite, image: str, dockerfile: str
) -> None:
    history = there.docker("history", "--no-trunc", "--format", "{{json .CreatedBy}}", image).splitlines()
    executed = [" ".join(str(json.loads(line)).split()) for line in reversed(history)]
    position = 0
    for step in instructions_of(RECIPE / dockerfile):
        keyword, _, arguments = step.partition(" ")
        wanted = _as_in_history(keyword, arguments)
        found = [number for number, text in enumerate(executed) if number >= position and wanted in text]
        assert found, f"{wanted!r} is not among what was executed after step {position}: {executed[position:]}"
        position = found[0]
    written = [step for name in {"Dockerfile.base", dockerfile} for step in instructions_of(RECIPE / name)]
    for kind in ("RUN ", "COPY ", "ADD "):
        assert sum(text.startswith(kind) for text in executed) == sum(step.startswith(kind) for step in written), kind


def _as_in_history(keyword: str, arguments: str) -> str:
    """What a history surely has of a step: builders write each kind in their own way."""
    if keyword == "RUN":
        return arguments
    if keyword == "COPY":
        return arguments.rsplit(maxsplit=1)[-1]
    if keyword in {"CMD", "HEALTHCHECK"}:
        return keyword
    return arguments.split(maxsplit=1)[0].strip('"')


def test_transformers_is_the_release_that_the_rerankers_own_config_names(there: InstalledSite) -> None:
    program = f"import json, transformers as t; print(t.__version__, json.load(open('{RERANKER}/config.json'))['transformers_version'])"
    used, named = there.docker("run", "--rm", "--network", "none", BASE, "python", "-c", program).split()
    assert used == named


def test_the_kind_of_pytorch_is_the_one_that_was_asked_for(there: InstalledSite) -> None:
    kind = there.docker("run", "--rm", BASE, "python", "-c", "import torch; print(torch.version.cuda)")
    assert (kind.strip(), BUILD_ARGUMENTS["VARIANT"]) == ("None", "cpu")


def test_times_and_sizes_are_told(told: Told) -> None:
    assert re.search(r"ocr-rag:1\.0\.0 +\d+ +[\d.]+ [KMG]iB", told.build), told.build
    assert re.search(r"download models +\d", told.build)


def test_golden_outputs_were_compared_and_nothing_called_out(told: Told) -> None:
    found = checks_of(told.site.kit)
    golden = {"sarashina-vectors", "reranker-scores", "pages-read"}
    wanted, on_a_gpu = {*golden, "loads", "serves"}, {"sarashina-vectors-gpu", "reranker-scores-gpu"}
    assert wanted | on_a_gpu <= set(found)
    assert {name for name, check in found.items() if not check["proved_here"]} <= on_a_gpu
    assert all(check["passed"] for check in found.values() if check["proved_here"]), found
    for name in golden:
        measured: Any = found[name]["measured"]
        assert measured["largest_difference"] < 1e-3
    for name in wanted:
        seen: Any = found[name]["no_egress"]
        assert (seen["proof"], seen["attempts"]) == ("tripwire", []), name


# -- rows 1 to 3 and 5: what is in the images


def test_labels_say_what_is_inside(told: Told, there: InstalledSite) -> None:
    for image in (BASE, APP):
        (document,) = json.loads(there.docker("image", "inspect", image))
        labels = document["Config"]["Labels"]
        assert labels["sarashina.model"] == f"{stand_ins.SARASHINA}@{told.site.hub.commit(stand_ins.SARASHINA)}"
        assert labels["reranker.model"].lower() == f"{stand_ins.RERANKER}@{told.site.hub.commit(stand_ins.RERANKER)}"
        assert "yomitoku-recognizer-lite.model" in labels


def test_the_lock_keeps_the_asked_and_the_canonical_id_of_the_reranker(told: Told) -> None:
    lock = json.loads((told.site.recipe / "recipe.lock").read_text("utf-8"))
    (model,) = (model for model in lock["models"] if model["name"] == "reranker")
    assert (model["repo_id"], model["canonical_id"]) == (stand_ins.RERANKER_ASKED, stand_ins.RERANKER)


def test_every_byte_of_every_model_is_audited(there: InstalledSite) -> None:
    audited = there.loader("audit", there.kit, "--progress", "none")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "no differences" in audited.stdout


def test_the_images_beside_travelled_and_run(there: InstalledSite) -> None:
    sealed = ("run", "--rm", "--network", "none")
    assert "Redis server" in there.docker(*sealed, "redis:7", "redis-server", "--version")
    told = there.docker(*sealed, "--user", "postgres", "postgres:16", "sh", "-c", _ASK_POSTGRES)
    assert "answer = " in told, told
    for name in ocr_rag_site.STUBS:
        assert there.docker("image", "inspect", "--format", "{{.Os}}", name).strip() == "linux"


def test_the_llm_server_answers_its_neighbours_with_the_model_in_its_image(told: Told, there: InstalledSite) -> None:
    check = checks_of(told.site.llm_kit)["serves"]
    assert check["passed"], check
    installed = there.loader("install", told.site.llm_kit, "--into", there.files, "--progress", "none")
    assert installed.returncode == 0, installed.stderr
    started = there.shell("docker-compose up --detach llm redis")
    assert started.returncode == 0, started.stderr
    answer = there.docker("exec", CONTAINER, "python", "-c", _ASK_LLM)
    assert json.loads(answer)["usage"]["completion_tokens"] == 3
    label = there.docker("image", "inspect", "--format", '{{index .Config.Labels "llm.model"}}', LLM)
    assert label.strip() == f"{stand_ins.LLM}@{told.site.hub.commit(stand_ins.LLM)}"


_ASK_POSTGRES = """
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
initdb --pgdata /tmp/data >/dev/null && echo 'select 6 * 7 as answer' | postgres --single -D /tmp/data postgres
"""
_ASK_LLM = """
import json, time, urllib.request
asked = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}
request = urllib.request.Request("http://llm:8080/v1/chat/completions", json.dumps(asked).encode(), {"Content-Type": "application/json"})
for attempt in range(600):
    try:
        print(urllib.request.urlopen(request, timeout=600).read().decode())
        break
    except OSError:  # it is starting
        time.sleep(1)
"""


# -- the original's own commands


def test_the_originals_own_commands_work_on_a_host_without_a_network(told: Told, there: InstalledSite) -> None:
    listed = there.shell(f"docker run --rm {BASE} sh -c 'ls -la {RERANKER}/*.safetensors'")
    assert listed.returncode == 0, listed.stderr
    size = (stand_ins.stand_ins() / stand_ins.RERANKER / "model.safetensors").stat().st_size
    assert f" {size} " in listed.stdout
    assert there.shell(f"docker run --rm {BASE} du -sh {RERANKER}").stdout.split()[1] == RERANKER
    assert there.run("ip", "route", "show", "default").stdout == "", "its bridges lead nowhere"


_ASK = """
import asyncio
from backend.services.reranker.service import get_reranking_service
async def test():
    service = await get_reranking_service()
    result = await service.rerank_simple(query='テスト', texts=['ドキュメント1', 'ドキュメント2'], top_k=2)
    print(len(result), 'results')
asyncio.run(test())"""


def test_the_originals_question_is_answered_in_the_running_container(there: InstalledSite) -> None:
    assert there.docker("exec", CONTAINER, "python", "-c", _ASK).splitlines()[-1] == "2 results"


def test_no_word_of_the_hub_stands_in_the_logs(there: InstalledSite) -> None:
    assert there.shell(f"docker logs {CONTAINER} 2>&1 | grep -i huggingface").stdout == ""


# -- row 10: dev.sh, and what it refuses

_ASK_HEALTH = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8000/health').read().decode())"


def test_dev_sh_check_looks_at_six_points_and_five_conditions(there: InstalledSite) -> None:
    checked = there.shell("./dev.sh check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    lines = checked.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("ok ")] == [*"123456", *"12345"]
    assert "FAILED" not in checked.stdout


def test_the_service_starts_within_ten_seconds(there: InstalledSite) -> None:
    """Or else the one after it: a host of tests is a busy one."""
    took = []
    for _ in range(2):
        health = there.docker("exec", CONTAINER, "python", "-c", _ASK_HEALTH)
        took.append(json.loads(health)["seconds"])
        if took[-1] < 10:
            return
        assert there.shell("./dev.sh restart").returncode == 0
    pytest.fail(f"its models took {took} s to load")


def test_dev_sh_status_tells_the_models(there: InstalledSite) -> None:
    status = there.shell("./dev.sh status").stdout
    assert f"sarashina.model: {stand_ins.SARASHINA}@" in status
    assert CONTAINER in status


def test_a_volume_over_the_models_is_refused_by_check(there: InstalledSite) -> None:
    there.docker("rm", "--force", CONTAINER)
    over = ("--volume", "models:/app/reranker_models", "--name", CONTAINER)
    try:
        there.docker("run", "--detach", "--network", "none", *over, APP, "sleep", "600")
        checked = there.shell("./dev.sh check")
        assert checked.returncode == 1
        assert f"/app/reranker_models is mounted over the model at {RERANKER}" in checked.stderr
    finally:
        there.docker("rm", "--force", "--volumes", CONTAINER)
        there.docker("volume", "rm", "models")
        assert there.shell("./dev.sh restart").returncode == 0


def test_an_image_with_a_volume_over_the_models_is_refused_by_bundler(
    told: Told, there: InstalledSite, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {APP}\nVOLUME /app/reranker_models\n")
    there.docker("build", "--quiet", "--tag", "ocr-rag:hidden", str(tmp_path))
    recipe = with_checks(told.site.recipe, tmp_path / "recipe", LOOKED_AT)
    try:
        checked = told.site.bundler("check", "ocr-rag:hidden", "--recipe", recipe, "--host", there.engine.base_url)
        assert checked.returncode == 9
        assert "/app/reranker_models" in checked.stdout + checked.stderr
    finally:
        there.docker("rmi", "ocr-rag:hidden")


def test_a_reranker_of_72_kb_ends_the_start_and_says_how_to_mend_it(there: InstalledSite, tmp_path: Path) -> None:
    shell = tmp_path / "llama-nv-reranker"
    shell.mkdir()
    source = stand_ins.stand_ins() / stand_ins.RERANKER
    for path in source.iterdir():
        (shell / path.name).write_bytes(path.read_bytes())
    (shell / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:SHELL_SIZE])
    started = there.run("docker", "run", "--rm", "--network", "none", "--volume", f"{shell}:{RERANKER}:ro", APP)
    assert started.returncode != 0
    told = started.stdout + started.stderr
    assert RERANKER in told
    assert "./dev.sh rebuild base" in told


def test_a_kit_whose_reranker_is_cut_is_refused_by_the_install(
    told: Told, there: InstalledSite, tmp_path: Path
) -> None:
    kit = tmp_path / told.site.kit.name
    shutil.copytree(told.site.kit, kit, ignore=shutil.ignore_patterns("*.tar"))
    (tar,) = told.site.kit.glob("*.tar")
    with tarfile.open(tar) as archive:
        (layer,) = (member for member in archive if member.name.endswith(_layer_of(told.site.kit, "reranker")))
    with tar.open("rb") as whole:
        (kit / tar.name).write_bytes(whole.read(layer.offset_data + layer.size // 2))
    refused = there.loader("install", kit, "--into", tmp_path / "into", "--progress", "none")
    assert refused.returncode == 6, refused.stderr


def _layer_of(kit: Path, model: str) -> str:
    """The hexadecimal digest of the layer that holds the model."""
    bundle = json.loads((kit / "head" / "bundle.json").read_text("utf-8"))
    found = {layer["digest"] for image in bundle["images"] for layer in image["layers"] if layer.get("model") == model}
    (digest,) = found
    return str(digest).removeprefix("sha256:")


# -- silent wrong results: each by a program that loads without an error, held to the recipe's golden outputs


@pytest.mark.parametrize(
    ("golden", "program", "told_of"),
    [
        ("sarashina", MEAN_POOLING, "sarashina"),
        ("reranker", CAUSAL_IN_BATCHES, "right alone and wrong in a padded batch"),
        ("yomitoku", UPSIDE_DOWN, "library.png"),
    ],
)
def test_what_answers_wrongly_without_an_error_is_caught_by_golden_outputs(
    told: Told, there: InstalledSite, tmp_path: Path, golden: str, program: str, told_of: str
) -> None:
    check = {
        "name": f"faulty-{golden}",
        "golden": f"golden/{golden}.json",
        "run": ["python", "-c", program],
        "within": "5m",
    }
    recipe = with_checks(told.site.recipe, tmp_path / "recipe", check)
    checked = told.site.bundler("check", APP, "--recipe", recipe, "--host", there.engine.base_url, "--json")
    assert checked.returncode == 9, checked.stdout + checked.stderr
    assert "are not those that were recorded" in checked.stdout
    assert told_of in checked.stdout


# -- row 11: what a change carries


@pytest.fixture(scope="module")
def rebuilt(told: Told) -> Iterator[Path]:
    """``./dev.sh rebuild base`` after a change of the application and of the OS part: into the engine, and this kit."""
    recipe, output = told.site.recipe, told.site.root / "changed"
    with (recipe / "app.py").open("a") as program, (recipe / "Dockerfile.base").open("a") as system:
        program.write("# changed\n")
        system.write("RUN touch /tmp/changed\n")
    whole = (recipe / "recipe.yaml").read_text("utf-8")
    give_checks(recipe, LOOKED_AT)  # all others were made of the first kit
    try:
        options = (*told.site.build_options, "--output", str(output), "--rehearse", "off")
        built = told.site.dev_sh("rebuild", "base", *options)
        assert built.returncode == 0, built.stderr
        yield output / told.site.kit.name
    finally:
        for name in ("app.py", "Dockerfile.base"):
            shutil.copyfile(RECIPE / name, recipe / name)
        (recipe / "recipe.yaml").write_text(whole, "utf-8")
        told.site.engine.docker("rmi", "--force", BASE, APP)


def test_a_change_of_the_application_and_of_the_os_carries_no_weights(
    told: Told, there: InstalledSite, rebuilt: Path
) -> None:
    before, after = (_layers(each) for each in (told.site.kit, rebuilt))
    assert before["model"] == after["model"]
    assert before["os"] != after["os"]
    installed = there.loader("install", rebuilt, "--into", there.files, "--progress", "none", "--json")
    assert installed.returncode == 0, installed.stderr
    unread = json.loads(installed.stdout)["members_not_read"]
    assert {digest for digest in after["model"] if not any(digest in member for member in unread)} == set()


def test_first_start_tells_the_time_with_a_download_and_from_the_image(told: Told, rebuilt: Path) -> None:
    told.site.hub.forget_requests()
    done = told.site.dev_sh("first-start", *told.site.source_options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"downloaded in \d+ s", done.stdout)
    assert re.search(r"all models loaded in [\d.]+ s", done.stdout)
    read = {seen.path for seen in told.site.hub.requests("/lfs/", method="GET")}
    for repo in (stand_ins.SARASHINA, stand_ins.RERANKER, stand_ins.YOMITOKU[0]):
        assert any(repo in path for path in read), f"{repo} was not downloaded: {read}"


def test_rebuild_app_takes_the_code_as_it_is_and_touches_no_layer_below(told: Told, rebuilt: Path) -> None:
    site = told.site
    with (site.recipe / "app.py").open("a") as program:
        program.write("# at the keyboard\n")
    done = site.dev_sh("rebuild", "app")
    assert done.returncode == 0, done.stderr
    assert site.engine.docker("run", "--rm", APP, "tail", "-n", "1", "/app/app.py").strip() == "# at the keyboard"
    base, app = (
        json.loads(site.engine.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", tag))
        for tag in (BASE, APP)
    )
    assert app[: len(base)] == base


def _layers(kit: Path) -> dict[str, set[str]]:
    """The hexadecimal digests of the kit's layers, by their kinds."""
    bundle = json.loads((kit / "head" / "bundle.json").read_text("utf-8"))
    found: dict[str, set[str]] = {}
    for image in bundle["images"]:
        for layer in image["layers"]:
            found.setdefault(layer["kind"], set()).add(layer["digest"].removeprefix("sha256:"))
    return found
