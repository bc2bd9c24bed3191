"""Load both models and end: the check `loads` of the recipe holds it to its budget.

python -m service.load
"""

from __future__ import annotations

import time

from service.errors import run
from service.library import Library
from service.settings import Settings


def main() -> int:
    """0 when both models are loaded."""
    begun = time.monotonic()
    Library.load(Settings.from_environment())
    print(f"both models loaded in {time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    run(main)
