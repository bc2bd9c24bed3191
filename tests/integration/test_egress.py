"""The tripwire in real engines: every leak is named, and honest services are silent."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.egress import TRIPWIRE
from bundler.core.errors import CheckError
from bundler.installer.engine import RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.bundles import make_bundle
from tests.sites import site_at
from tests.support.calling_out import Leak, is_named, is_silent, loaded, run_all, sh, told_fault
from tests.support.docker_engines import ids_of
from tests.support.egress_table import note_honest, note_leaks
from tests.support.honest_services import DEBIAN_HONEST, QUICK_HONEST
from tests.support.leaks import DEBIAN_LEAKS, QUICK_LEAKS, SHELL_LEAKS
from tests.support.printed_tables import RecordProperty


def require_named(leaks: dict[str, Leak], results: dict[str, CheckResult]) -> None:
    missed = {name: told_fault(results[name]) for name, leak in leaks.items() if not is_named(leak, results[name])}
    assert missed == {}


def require_silent(results: dict[str, CheckResult]) -> None:
    assert {name: told_fault(result) for name, result in results.items() if not is_silent(result)} == {}


def test_every_engine_names_leaks_and_leaves_honest_services_alone(
    any_engine: RunningEngine, record_property: RecordProperty
) -> None:
    before = ids_of(any_engine)
    engine, image_id = loaded(any_engine)
    standing = ids_of(any_engine)
    leaks = QUICK_LEAKS
    results = run_all(engine, image_id, {**{name: leak.command for name, leak in leaks.items()}, **QUICK_HONEST})
    after = ids_of(any_engine)
    any_engine.docker("image", "rm", "--force", *(standing - before))
    note_leaks(record_property, any_engine.kind.name, leaks, results)
    note_honest(record_property, any_engine.kind.name, {name: results[name] for name in QUICK_HONEST})
    require_named(leaks, results)
    require_silent({name: results[name] for name in QUICK_HONEST})
    assert after == standing
    assert any_engine.docker("ps", "--all", "--quiet").split() == []


def test_leaks_of_shells_and_static_programs_are_named(caller: tuple[DockerEngine, Digest]) -> None:
    leaks = SHELL_LEAKS
    require_named(leaks, run_all(*caller, {name: leak.command for name, leak in leaks.items()}))


def test_leaks_of_programs_with_a_c_library_are_named(debian: tuple[DockerEngine, Digest]) -> None:
    leaks = DEBIAN_LEAKS
    require_named(leaks, run_all(*debian, {name: leak.command for name, leak in leaks.items()}))


def test_honest_services_are_silent(debian: tuple[DockerEngine, Digest]) -> None:
    require_silent(run_all(*debian, DEBIAN_HONEST))


@pytest.mark.parametrize("first_act", ["a static program's first act", "a shell's child"])
def test_a_first_act_is_named_50_of_50_times(caller: tuple[DockerEngine, Digest], first_act: str) -> None:
    leak = QUICK_LEAKS[first_act]
    results = run_all(*caller, {f"{number}": leak.command for number in range(50)})
    named = [is_named(dataclasses.replace(leak, process=""), result) for result in results.values()]
    assert (sum(named), len(named)) == (50, 50)


def test_what_is_told_names_how_often_and_what_it_means(caller: tuple[DockerEngine, Digest]) -> None:
    script = "busybox nslookup -type=a huggingface.co >/dev/null 2>&1; true"
    result = run_all(*caller, {"asks": sh(script)})["asks"]
    assert result.no_egress is not None
    (attempt,) = result.no_egress.attempts
    assert (attempt.protocol, attempt.address, attempt.question) == ("DNS", "192.0.2.53", "A")
    assert attempt.count >= 2  # it asks again by itself
    assert "some code looks for a model on the Hub" in result.detail
    assert result.detail.startswith("tried to call out: DNS: asked for huggingface.co (A), ")


def test_a_check_does_not_answer_for_the_one_before(caller: tuple[DockerEngine, Digest]) -> None:
    results = run_all(
        *caller,
        {
            "bad": sh("busybox nslookup -type=a a.example; true"),
            "good": sh("sleep 0.2"),
            "worse": sh("busybox nslookup -type=a b.example; true"),
        },
    )
    assert [result.passed for result in results.values()] == [False, True, False]
    assert "a.example" not in results["worse"].detail


def test_install_refuses_what_calls_out_and_its_papers_say_so(docker20: RunningEngine, tmp_path: Path) -> None:
    with site_at(docker20, tmp_path / "state") as site:
        before = site.standing()
        calls = ("/bin/sh", "-c", "nslookup -type=a huggingface.co >/dev/null; echo hello")
        with pytest.raises(CheckError) as caught:
            site.install(make_bundle(tmp_path / "bad", command=calls))
        assert site.standing() == before
        (problem,) = caught.value.problems
        assert "asked for huggingface.co" in problem.what
        outcome = site.install(make_bundle(tmp_path / "good"))
        (ran,) = [check for check in outcome.receipt.checks if check.kind == "run"]
        assert ran.no_egress is not None
        assert (ran.no_egress.proof, ran.no_egress.attempts) == (TRIPWIRE, ())
        told = site.run("check", "--json")
        assert told.returncode == 0, told.stderr
        (results,) = json.loads(told.stdout).values()
        told = results[-1]["no_egress"]
        assert (told["proof"], told["why"], told["attempts"]) == ("tripwire", "", [])
        assert "calling out: 1 check listened to" in site.run("check").stdout


def test_a_service_sees_a_network_as_it_is_used_to(caller: tuple[DockerEngine, Digest]) -> None:
    engine, image_id = caller
    with engine.holder() as holder:
        script = (
            "cat /etc/resolv.conf /etc/hosts /proc/sys/net/ipv6/conf/all/disable_ipv6; id -u; cat /proc/net/if_inet6"
        )
        output = engine.run(image_id, RunSpec(sh(script), 120.0, network=holder)).output
    assert "nameserver 192.0.2.53" in output
    assert "bundler-check" in output
