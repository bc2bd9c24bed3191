"""Entry of ``python scripts/bench_steps``: the packages ``bench_steps`` and ``testbed`` are found beside each other."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench_steps.command_line import main  # noqa: E402 - only now can it be found

sys.exit(main(sys.argv[1:]))
