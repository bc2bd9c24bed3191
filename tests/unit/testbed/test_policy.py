"""The rule that no service starts: ours is taken back, also that of a killed run; a machine's own is left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from testbed.policy import no_services

SCRIPTS = Path(__file__).parents[3] / "scripts"
HANGING = """
import sys, time
from pathlib import Path
from testbed.policy import no_services
with no_services(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""


def test_the_rule_is_there_for_the_block_alone(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with no_services(policy):
        assert subprocess.run([policy], check=False).returncode == 101
    assert not policy.exists()


def test_a_killed_runs_rule_is_taken_for_what_it_is(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    argv = [sys.executable, "-c", HANGING, str(policy)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={"PYTHONPATH": str(SCRIPTS)}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"holds\n"
        held = policy.read_bytes()
        with no_services(policy):
            assert policy.read_bytes() == held, "that run lives, the rule is its own"
        assert policy.exists()
        process.send_signal(signal.SIGKILL)
    assert policy.exists()
    with no_services(policy):
        assert policy.exists()
    assert not policy.exists()


def test_a_machines_own_rule_stays(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    with no_services(policy):
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 101\n"
