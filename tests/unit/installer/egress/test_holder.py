"""The holder's program and image: always the same bytes, whole, and executable."""

from __future__ import annotations

import io
import platform
import signal
import struct
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from bundler.core.digest import Digest
from bundler.installer.egress import asker_program
from bundler.installer.egress.elf import ARCHITECTURES
from bundler.installer.egress.holder_image import ASKER, PROGRAM, can_hold, holder_image, holder_layer
from bundler.installer.egress.holder_program import CONTROL_NAME, program
from bundler.installer.egress.questions import Question, read_question

#: Both were run once: amd64 by every engine test, arm64 by qemu-aarch64, whose trace showed both messages leave.
DIGESTS = {
    "amd64": "296149195b37e6c89a479c70bc20daa9b042b521c6f4ce257b13a40a9d508fbf",
    "arm64": "5000d500ed97492205e3f9a346c019896e63aeadfacd483a89d8c6b67e9375cd",
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_is_what_was_tried(architecture: str) -> None:
    assert Digest.of(program(architecture)).hex == DIGESTS[architecture]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_is_one_whole_segment(architecture: str) -> None:
    content = program(architecture)
    entry, start = struct.unpack_from("<QQ", content, 24)
    kind, flags, offset, base, _, size, memory = struct.unpack_from("<IIQQQQQ", content, start)
    assert (kind, flags, offset, size, memory) == (1, 5, 0, len(content), len(content))
    assert entry == base + 120
    message = content[content.index(b"\xb0\xd1\x01\x00") :]
    assert read_question(message) == Question(CONTROL_NAME, "A")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another processor's program")
def test_the_program_pauses_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "holder"
    path.write_bytes(program("amd64"))
    path.chmod(0o755)
    process = subprocess.Popen([str(path), "token"])
    time.sleep(0.2)
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_image_holds_the_programs_and_nothing_else(architecture: str) -> None:
    plain = holder_layer(f"linux/{architecture}")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for member in archive.getmembers():
            stream = archive.extractfile(member)
            assert stream is not None
            found[f"/{member.name}"] = stream.read()
            assert (member.mode, member.uid, member.mtime) == (0o755, 0, 0)
    assert found == {PROGRAM: program(architecture), ASKER: asker_program.program(architecture)}
    image = holder_image(f"linux/{architecture}")
    assert image.diff_ids == (Digest.of(plain),)
    assert image.platform == f"linux/{architecture}"
    assert holder_image(f"linux/{architecture}") == image


def test_other_platforms_have_no_holder() -> None:
    assert can_hold("linux/amd64")
    assert not can_hold("linux/riscv64")
    assert not can_hold("windows/amd64")
