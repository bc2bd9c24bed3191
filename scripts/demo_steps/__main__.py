"""Entry of ``python scripts/demo_steps``: the packages ``demo_steps`` and ``testbed`` are found beside each other."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from demo_steps.command_line import main  # noqa: E402 - only now can it be found

sys.exit(main(sys.argv[1:]))
