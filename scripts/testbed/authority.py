"""An authority of one's own, as companies have them in their proxies: made by openssl, known to nobody.

authority = Authority.make(folder)
Hub(repos, tls=authority.context())      # who trusts authority.certificate trusts that server
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed import TestbedError

#: Who a server is: every name of this host that a test uses.
NAMES = ("IP:127.0.0.1", "IP:127.0.0.2", "DNS:localhost")


@dataclass(frozen=True)
class Authority:
    """``certificate`` is the authority's, in PEM form; ``server`` and ``key`` are those of a server it vouches for."""

    name: str
    certificate: Path
    server: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str = "Acme Inspection CA", names: Iterable[str] = NAMES) -> Authority:
        """A new authority in ``folder``, which is made, and a server called ``names``; raises TestbedError."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(name, folder / "authority.pem", folder / "server.pem", folder / "server.key")
        authority_key, request, more = folder / "authority.key", folder / "server.csr", folder / "names"
        more.write_text(f"subjectAltName={','.join(names)}\n")
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        usage = ["-addext", "keyUsage=critical,keyCertSign"]
        subject = ["-subj", f"/O=Acme/CN={name}"]
        _openssl("req", "-x509", *new, "-keyout", authority_key, "-out", made.certificate, *subject, *usage)
        _openssl("req", *new, "-keyout", made.key, "-out", request, "-subj", "/CN=localhost")
        by = ["-CA", made.certificate, "-CAkey", authority_key, "-CAcreateserial", "-days", "2"]
        _openssl("x509", "-req", "-in", request, *by, "-extfile", more, "-out", made.server)
        return made

    def context(self) -> ssl.SSLContext:
        """What a server needs to speak TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.key)
        return context


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestbedError(f"{' '.join(command[:3])}: {done.stderr.strip()}")
