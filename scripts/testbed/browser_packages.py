"""What Debian brings for tests in a browser; apart from what drives it, since this is asked for before selenium is there."""

#: A host has no font without the last one, and Chromium then draws boxes in the place of letters.
PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
