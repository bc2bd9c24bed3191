"""``bundler check`` of what is not installed: kits, and images that anybody made."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.core.bundle import open_bundle
from bundler.core.bundle_manifest import BundledModel
from bundler.core.kit import TrustPolicy
from bundler.core.progress import SilentProgress
from bundler.installer.checks.models import check_models
from testbed.engines import RunningEngine
from tests.bundles import MODEL_SIZE, make_bundle, model_content
from tests.sites import Site, require_three_lines, site_at
from tests.support.docker_engines import load
from tests.support.handmade import entry, make_image, make_layer, shell_layer
from tests.support.recipe_of_kit import write_recipe

QUIET = ["HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "HF_DATASETS_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1"]
QUIET += ["DO_NOT_TRACK=1", "PATH=/bin"]


@pytest.fixture
def site(docker20: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(docker20, tmp_path / "state") as made:
        yield made


def image(site: Site, name: str, config: dict[str, object]) -> str:
    """An image with a shell, under a name."""
    layers = [shell_layer()]
    image_id = load(site.engine, make_image(f"docker.io/library/{name}", layers, config), layers)
    site.running.docker("tag", str(image_id), name)
    return name


def test_a_kit_is_checked_without_a_name_and_without_a_trace(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    before = site.standing()
    done = site.run("check", kit, "--json")
    assert done.returncode == 0, done.stderr
    (results,) = json.loads(done.stdout).values()
    assert [(result["kind"], result["passed"]) for result in results] == [("models", True)] * 2 + [("run", True)]
    assert results[-1]["no_egress"]["proof"] == "tripwire"
    assert site.standing() == before
    assert site.run("check").returncode == 10, "nothing was installed"


def test_a_kit_that_fails_its_checks_ends_with_nine_and_leaves_no_trace(site: Site, tmp_path: Path) -> None:
    before = site.standing()
    done = site.run("check", make_bundle(tmp_path, greeting="error"))
    assert done.returncode == 9
    assert "forbids" in done.stdout
    assert "FAILED" in done.stdout
    assert site.standing() == before


def test_an_interrupted_install_is_not_disturbed_by_the_check_of_a_kit(site: Site, tmp_path: Path) -> None:
    site.install(make_bundle(tmp_path / "one"))
    files, standing = site.state_files(), site.standing()
    assert site.run("check", make_bundle(tmp_path / "two", name="other")).returncode == 0
    assert site.standing() == standing
    assert [name for name in site.state_files() if not name.startswith("checked-kits/")] == files


def test_a_recipe_s_checks_take_the_place_of_the_kit_s(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    done = site.run("check", kit, "--recipe", write_recipe(tmp_path / "right", kit), "--json")
    assert done.returncode == 0, done.stderr
    (results,) = json.loads(done.stdout).values()
    assert [result["name"] for result in results if result["kind"] == "run"] == ["reads"]
    done = site.run("check", kit, "--recipe", write_recipe(tmp_path / "wrong", kit, expect="no such text"))
    assert done.returncode == 9
    assert "printed nothing like 'no such text'" in done.stdout
    other = make_bundle(tmp_path / "other", name="other")
    done = site.run("check", other, "--recipe", tmp_path / "right", "--progress", "none")
    require_three_lines(done, 9, "is for an image that the kit does not hold")


def test_any_image_is_checked_by_a_recipe(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    site.install(kit)
    recipe = write_recipe(tmp_path / "recipe", kit)
    site.running.docker("tag", "bundler-test/service:1.0.0", "somebody/else:3")
    done = site.run("check", "somebody/else:3", "--recipe", recipe, "--json")
    assert done.returncode == 0, done.stderr
    assert [(result["name"], result["passed"]) for result in json.loads(done.stdout)["somebody/else:3"]] == [
        ("tiny in somebody/else:3", True),
        ("reads", True),
    ]
    image(site, "bundler-test-empty:1", {"Cmd": ["true"]})
    done = site.run("check", "bundler-test-empty:1", "--recipe", recipe)
    assert done.returncode == 9
    assert "the model's directory is missing" in done.stdout


def test_the_models_of_any_image_leave_memory_for_a_cold_load(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    site.install(kit)
    recipe = write_recipe(tmp_path / "recipe", kit)
    with (recipe / "recipe.yaml").open("a") as file:
        file.write("  - { name: loads, load_budget: 2m, run: [/bin/cat, /app/models/tiny/config.json] }\n")
    site.running.docker("tag", "bundler-test/service:1.0.0", "somebody/else:4")
    for target in ("somebody/else:4", kit):
        done = site.run("check", target, "--recipe", recipe, "--json")
        assert done.returncode == 0, done.stderr
        (results,) = json.loads(done.stdout).values()
        assert results[-1]["name"] == "loads"
        assert set(results[-1]["measured"]) == {"cold_s", "warm_s"}, results[-1]["detail"]


def test_outputs_of_another_model_are_compared_with_no_image(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    site.install(kit)
    recipe = write_recipe(tmp_path / "recipe", kit)
    golden = {"model": "tiny", "commit": "e" * 40, "reference": "r", "inputs": [1, 2], "outputs": [1, 2]}
    (recipe / "golden.json").write_text(json.dumps(golden))
    with (recipe / "recipe.yaml").open("a") as file:
        file.write("  - { name: right, golden: golden.json, run: [x] }\n")
    site.running.docker("tag", "bundler-test/service:1.0.0", "somebody/else:5")
    done = site.run("check", "somebody/else:5", "--recipe", recipe)
    assert done.returncode == 3
    assert f"recorded for commit {'e' * 40} of tiny" in done.stderr


def test_an_image_without_a_recipe_is_started_as_it_is_and_listened_to(site: Site) -> None:
    quiet = image(site, "bundler-test-quiet:1", {"Cmd": ["sleep", "60"], "Env": QUIET})
    done = site.run("check", quiet, "--watch", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 check listened to" in done.stdout
    assert "warning" not in done.stderr
    script = "echo starting; busybox nslookup -type=a huggingface.co >/dev/null; true"
    loud = image(site, "bundler-test-loud:1", {"Entrypoint": ["sh", "-c", script], "Env": ["PATH=/bin"]})
    done = site.run("check", loud, "--watch", "120")  # it ends by itself when it has waited for an answer
    assert done.returncode == 9
    assert "asked for huggingface.co" in done.stdout
    assert "some code looks for a model on the Hub" in done.stdout
    bad = image(site, "bundler-test-bad:1", {"Cmd": ["sh", "-c", "echo no weights; exit 3"], "Env": QUIET})
    done = site.run("check", bad, "--watch", "120")
    assert done.returncode == 9
    assert "it ended with code 3; it printed: no weights" in done.stdout


def test_an_image_whose_quiet_environment_was_taken_back_gets_a_warning(site: Site) -> None:
    environment = [*QUIET[1:], "HF_HUB_OFFLINE=0"]
    loud = image(site, "bundler-test-warned:1", {"Cmd": ["sh", "-c", "exit 0"], "Env": environment})
    done = site.run("check", loud)
    assert done.returncode == 0, done.stdout
    assert "warning: bundler-test-warned:1: HF_HUB_OFFLINE is '0'" in done.stderr
    assert done.stderr.count("warning: bundler-test-warned:1") == 1


def test_what_is_nothing_of_all_that_is_told_in_three_lines(site: Site, tmp_path: Path) -> None:
    require_three_lines(
        site.run("check", "nobody:1", "--progress", "none"), 10, "neither a kit nor an installed bundle"
    )
    require_three_lines(site.run("check", "No Such//Name", "--progress", "none"), 2, "is neither a kit")
    require_three_lines(site.run("check", tmp_path, "--progress", "none"), 6, "not a kit")
    site.install(make_bundle(tmp_path))
    done = site.run("check", "service", "--recipe", tmp_path, "--progress", "none")
    require_three_lines(done, 2, "carries its own checks")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> BundledModel:
    manifest = open_bundle(make_bundle(tmp_path_factory.mktemp("model")), TrustPolicy()).manifest
    (model,) = manifest.models
    return model


ACCOUNTS = (b"root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n", b"root:x:0:\nstaff:x:50:app,other\napp:x:1000:\n")


@pytest.mark.parametrize(
    ("config", "modes", "told"),
    [
        ({"User": "app"}, {}, ""),
        ({}, {"app/models": 0o700, "config.json": 0o600}, ""),
        ({"User": "1000"}, {"config.json": 0o640}, "config.json cannot be read by the image's user, 1000"),
        ({"User": "app"}, {"app/models/tiny": 0o750}, "/app/models/tiny cannot be read by the image's user, app"),
        ({"User": "app:staff"}, {"app/models": 0o700}, "/app/models cannot be passed by the image's user, app:staff"),
        ({"User": "nobody-knows"}, {}, "runs as 'nobody-knows', whom it does not know"),
        ({"Volumes": {"/app": {}}}, {}, "makes a volume at /app, over what stands at /app/models/tiny"),
        ({"Volumes": {"/app/models/tiny/1_Pooling": {}}}, {}, "makes a volume at /app/models/tiny/1_Pooling"),
        ({"Volumes": {"/app/models-of-others": {}}}, {}, ""),
    ],
)
def test_models_are_for_the_image_s_user_to_read(
    site: Site,
    model: BundledModel,
    config: dict[str, object],
    modes: dict[str, int],
    told: str,
) -> None:
    layer = make_layer(
        *(entry(name, kind=tarfile.DIRTYPE, mode=modes.get(name, 0o755)) for name in ("etc", "app", "app/models")),
        *(entry(f"etc/{name}", text) for name, text in zip(("passwd", "group"), ACCOUNTS)),
        entry("app/models/tiny", kind=tarfile.DIRTYPE, mode=modes.get("app/models/tiny", 0o755)),
        entry("app/models/tiny/1_Pooling", kind=tarfile.DIRTYPE, mode=0o755),
        *(
            entry(f"app/models/tiny/{path}", content, mode=modes.get(path, 0o644))
            for path, content in model_content(1, MODEL_SIZE).items()
        ),
    )
    layers = [shell_layer(), layer]
    image_id = load(site.engine, make_image("docker.io/library/bundler-test-reader:1", layers, config), layers)
    (result,) = check_models([model], "reader", image_id, site.engine, SilentProgress())
    assert result.passed == (not told), result.detail
    assert told in result.detail
