"""``bundler fetch`` killed by signal 9 in the middle, again and again: nothing that came is lost, and the end is right."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from bundler.builder.lock import LockedModel
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.download_world import REPO
from tests.support.fetch_site import FetchSite, require_fetched
from tests.support.safetensors_files import safetensors_file
from tests.support.waiting import PATIENCE_S, wait_until

MIB = 1 << 20


def write_weights(root: Path, size: int) -> Path:
    """A model in two files, three quarters of it in the first."""
    content = root / "repo"
    content.mkdir()
    (content / "config.json").write_text('{"hidden_size": 8}\n')
    safetensors_file(content / "model-00001-of-00002.safetensors", size * 3 // 4, 1, sparse=True)
    safetensors_file(content / "model-00002-of-00002.safetensors", size // 4, 2, sparse=True)
    return content


def kill_at(site: FetchSite, model: LockedModel, place: float) -> float:
    """Start it, kill it once that part of the model is here; gives the part that was here then."""
    with site.start() as process:

        def reached() -> bool:
            assert process.poll() is None, f"it ended by itself: {process.communicate()}"
            return site.here(model) >= place * model.size

        wait_until(reached, lambda: f"{site.here(model) / model.size:.0%} of the model are here")
        assert process.poll() is None, "it is alive"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    here = site.here(model) / model.size
    assert 0.05 <= here <= 0.95, "it was in the middle"
    return here


def require_all_kept(root: Path, size: int, kills: int, bytes_per_s: int, most: float) -> None:
    """``most`` is what may be sent in all, as a part of ``size``: a busy host also loses what was on its way to it."""
    content = write_weights(root, size)
    # From the last place to the end the line needs seconds, in which a busy host too sees it and strikes.
    places = [0.06 + 0.69 * number / (kills - 1) for number in range(kills)]
    with Hub([HubRepo(REPO, content)], all_bytes_per_s=bytes_per_s) as hub:
        site = FetchSite(root, hub)
        model = site.locked()
        hub.forget_requests()
        struck = [kill_at(site, model, place) for place in places]
        assert struck == sorted(struck), "nothing that was here went away"
        before = hub.sent()
        process = site.start()
        output, complaint = process.communicate(timeout=PATIENCE_S + size / bytes_per_s)
        assert process.returncode == 0, complaint
        require_fetched(output, content)
        sent = hub.sent()
    print(f"killed at {', '.join(f'{place:.0%}' for place in struck)}: {sent / size:.3f} of the model was sent")
    assert sent - before < (1.05 - struck[-1]) * size, "nothing that was here is sent again"
    assert sent < most * size
    left = [path for path in site.store.partial.rglob("*") if path.is_file()]
    assert left == []


def test_four_kills(tmp_path: Path) -> None:
    require_all_kept(tmp_path, 128 * MIB, 4, 12 * MIB, 1.6)


@pytest.mark.soak
def test_twenty_kills(tmp_path: Path) -> None:
    require_all_kept(tmp_path, 1024 * MIB, 20, 48 * MIB, 1.2)


def test_a_kill_of_the_hubs_own_client_and_of_hf_transfer_leaves_no_process_and_no_wrong_file(tmp_path: Path) -> None:
    """They resume nothing by themselves; whatever they left, the next run ends right."""
    content = write_weights(tmp_path, 32 * MIB)
    with Hub([HubRepo(REPO, content)], all_bytes_per_s=8 * MIB) as hub:
        for way in ("hf_transfer", "hub"):
            root = tmp_path / way
            root.mkdir()
            site = FetchSite(root, hub)
            hub.forget_requests()
            with site.start("--downloader", way) as process:

                def halfway(process: subprocess.Popen[str] = process) -> bool:
                    assert process.poll() is None, process.communicate()
                    return hub.sent() >= 10 * MIB

                wait_until(halfway)
                process.kill()
                process.communicate()
                assert process.returncode == -signal.SIGKILL
            wait_until(lambda site=site: not processes_of(site), lambda site=site: processes_of(site))
            process = site.start()
            output, complaint = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, complaint
            require_fetched(output, content)


def processes_of(site: FetchSite) -> list[str]:
    """Command lines of processes that have the site's cache in their environment."""
    wanted, found = f"XDG_CACHE_HOME={site.root / 'cache'}", []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().decode(errors="replace").split("\0"):
                found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found
