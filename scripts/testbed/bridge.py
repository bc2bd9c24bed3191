"""A bridge of its own for each engine, with forwarding and masquerading set by the test bed and taken back at the end.

dockerd would do this too, but several of them share the names of iptables' chains and flush each other's.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from testbed.debian import command, locked

RECORD = "bridge"  # the file in an engine's run folder that says what there is to remove


def make_bridge(run_dir: Path) -> str:
    """Make the first free bridge ``bundlerN`` with 10.213.N.1/24 and let what comes from it reach the outside."""
    with locked("bridges", run_dir.parent):  # common to all test runs, whatever cache they have
        number = next(n for n in range(256) if not Path(f"/sys/class/net/bundler{n}").exists())
        name, net = f"bundler{number}", f"10.213.{number}"
        (run_dir / RECORD).write_text(f"{name} {net}.0/24")
        command(["ip", "link", "add", name, "type", "bridge"])
    command(["ip", "address", "add", f"{net}.1/24", "dev", name])
    command(["ip", "link", "set", name, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for table, rule in _rules(name, f"{net}.0/24"):
        command(["iptables", "-w", "60", "-t", table, "-I", *rule])
    return name


def remove_bridge(run_dir: Path) -> None:
    """Remove the bridge and the rules that ``make_bridge`` recorded in ``run_dir``; does nothing a second time."""
    record = run_dir / RECORD
    if not record.exists():
        return
    name, net = record.read_text().split()
    argvs = [["iptables", "-w", "60", "-t", table, "-D", *rule] for table, rule in _rules(name, net)]
    for argv in [*argvs, ["ip", "link", "delete", name]]:
        # What was never made, because the start failed before, cannot be removed; that is no failure here.
        subprocess.run(argv, capture_output=True, check=False)
    record.unlink()


def _rules(name: str, net: str) -> list[tuple[str, list[str]]]:
    return [
        ("nat", ["POSTROUTING", "-s", net, "!", "-o", name, "-j", "MASQUERADE"]),
        ("filter", ["FORWARD", "-i", name, "-j", "ACCEPT"]),
        ("filter", ["FORWARD", "-o", name, "-j", "ACCEPT"]),
    ]
