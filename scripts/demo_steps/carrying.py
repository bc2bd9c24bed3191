"""The way itself, each step as a person types it: build, install, ask, audit."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from demo_steps.hosts import ConnectedHost, IsolatedHost, loader_python
from demo_steps.names import APP
from demo_steps.sources import ROOT
from demo_steps.stage import Stage, Step, StepError

RECIPE = ROOT / "recipes" / "quickstart"
QUESTION = "Why do ships see a lamp from afar?"
ANSWERED_BY = "lighthouse.txt"
#: Set where a company's certificate authority is in force; each names a file of certificates.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
BUILD_TIMEOUT_S = 1200
INSTALL_TIMEOUT_S = 600


@dataclass(frozen=True)
class Built:
    """A kit on the medium, and what its bundle says of itself; sizes are bytes."""

    kit: Path
    size: int
    raw_size: int
    model_size: int


def build(
    stage: Stage,
    host: ConnectedHost,
    folder: Path,
    endpoint: str | None,
    base: str | None,
    source: Path = RECIPE,
) -> Built:
    """``bundler build`` on a copy of a recipe, so that its lock is not written into the checkout."""
    with stage.step("bundler build") as step:
        recipe = folder / source.name
        shutil.rmtree(recipe, ignore_errors=True)
        # A lock pins what the real Hub and a registry serve; the embedded ones have commits of their own.
        left_out = ["__pycache__", "recipe.lock"] if endpoint else ["__pycache__"]
        shutil.copytree(source, recipe, ignore=shutil.ignore_patterns(*left_out))
        kits = folder / "kits"
        shutil.rmtree(kits, ignore_errors=True)
        argv = ["bundler", "build", recipe.name, "--output", kits.name, "--progress", "lines"]
        argv += ["--endpoint", endpoint] if endpoint else []
        argv += ["--build-arg", f"BASE={base}"] if base else []
        argv += _company_options(step)
        step.say(f"$ {shlex.join(argv)}")
        program = str(Path(sys.executable).with_name("bundler"))
        out = step.run([program, *argv[1:]], env=_past_proxies(host.env), timeout_s=BUILD_TIMEOUT_S, cwd=folder)
        _show(out)
        return _built(kits)


def _company_options(step: Step) -> list[str]:
    """What a build needs to know of this host's network: its certificate authority and its package index."""
    bundles = [os.environ[name] for name in CA_VARIABLES if Path(os.environ.get(name) or "/nowhere").is_file()]
    options = ["--ca-bundle", bundles[0]] if bundles else []
    argv = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    try:
        index = os.environ.get("PIP_INDEX_URL") or step.run(argv, env=os.environ, timeout_s=60).strip()
    except StepError:
        index = ""  # pip's way to say that nothing is set
    address = urlsplit(index)
    if address.scheme in {"http", "https"} and not address.password:  # build arguments stand in the image's history
        options += ["--build-arg", f"PIP_INDEX_URL={index}"]
    return options


def _past_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """The embedded Hub is on loopback, where no proxy leads."""
    told = [env[name] for name in ("NO_PROXY", "no_proxy") if env.get(name)]
    around = ",".join([*told, "127.0.0.1"])
    return {**env, "NO_PROXY": around, "no_proxy": around}


def _built(kits: Path) -> Built:
    found = [path for path in kits.iterdir() if (path / "SHA256SUMS").is_file()] if kits.is_dir() else []
    if len(found) != 1:
        raise StepError(f"the build left {len(found)} kits in {kits}")
    (kit,) = found
    bundle = json.loads((kit / "head" / "bundle.json").read_text("utf-8"))
    layers = {layer["diff_id"]: layer["uncompressed_size"] for image in bundle["images"] for layer in image["layers"]}
    return Built(
        kit=kit,
        size=sum(path.stat().st_size for path in kit.rglob("*") if path.is_file()),
        raw_size=sum(layers.values()),
        model_size=sum(file["size"] for model in bundle["models"] for file in model["files"]),
    )


def install(stage: Stage, host: IsolatedHost, built: Built) -> str:
    """``python3 bundler.pyz install .`` in the kit, on the isolated host; gives what it printed."""
    with stage.step("python3 bundler.pyz install") as step:
        options = ["--into", str(host.folder / "files"), "--state-dir", str(host.state)]
        out = loader(step, host, built, ["install", ".", *options, "--progress", "lines"])
        _show(out)
        return out


def audit(stage: Stage, host: IsolatedHost, built: Built) -> str:
    """``python3 bundler.pyz audit .`` there: a finding is a failure."""
    with stage.step("python3 bundler.pyz audit") as step:
        out = loader(step, host, built, ["audit", ".", "--state-dir", str(host.state), "--progress", "none"])
        _show(out)
        return out


def loader(step: Step, host: IsolatedHost, built: Built, arguments: list[str]) -> str:
    """Run the kit's loader on the isolated host, in the kit's directory, and give its standard output."""
    argv = [loader_python(), "bundler.pyz", *arguments]
    return host.run(step, argv, timeout_s=INSTALL_TIMEOUT_S, cwd=built.kit)


def ask(stage: Stage, host: IsolatedHost) -> str:
    """Ask the installed image, which has no network either, and compare the answer with the text that holds it."""
    with stage.step("One question to the installed image") as step:
        command = ["python", "-m", "service.search", "--top-k", "1", QUESTION]
        argv = ["docker", "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", APP, *command]
        step.say(f"$ {shlex.join(argv)}")
        answer = host.run(step, argv, timeout_s=120).strip()
        step.say(answer)
        _compare(answer)
        step.say("which is the expected one")
        return answer


def _compare(answer: str) -> None:
    score, source, text = [*answer.split("  ", 2), "", ""][:3]
    passages = (RECIPE / "texts" / ANSWERED_BY).read_text("utf-8").split("\n\n")
    if source != ANSWERED_BY or text not in [" ".join(passage.split()) for passage in passages] or not score:
        raise StepError(f"expected a passage of {ANSWERED_BY}, the answer was: {answer or 'nothing'}")


def _show(out: str) -> None:
    for line in out.rstrip("\n").splitlines():
        print(f"   | {line}", flush=True)
