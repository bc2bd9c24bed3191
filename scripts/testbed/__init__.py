"""The test bed: real container engines of several versions, isolated hosts and base images on one Debian 12 machine.

    from testbed.engines import DOCKER_26, EngineDaemon

    with EngineDaemon(DOCKER_26).running() as engine:
        print(engine.base_url, engine.version, engine.store)

It needs root, Python 3.9 or later, and nothing but the standard library. Everything it downloads comes from the
Debian mirror that the machine already uses and is checked by apt's own signatures.
"""

from __future__ import annotations


class TestbedError(RuntimeError):
    """The test bed cannot give what a test asked for; the message says why and what to do."""

    __test__ = False  # pytest collects by name; this is no test
