"""The container's HEALTHCHECK: asks the endpoint in the same container how it is."""

from __future__ import annotations

import http.client
import sys

from service.settings import Settings


def main() -> int:
    """0 when ``GET /health`` answers 200 within three seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", Settings.from_environment().port, timeout=3)
    try:
        connection.request("GET", "/health")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
