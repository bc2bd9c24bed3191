"""What the environment says about the way to a host: its proxy; and what an address tells."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies

from requests.utils import get_auth_from_url, get_environ_proxies, select_proxy
from urllib3.util import make_headers

from bundler.core.errors import DownloadError

_DEFAULT_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str) -> str | None:
    """The proxy's address, or None for the direct way; ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY`` and their kin.

    Raises DownloadError for a kind of proxy that is not spoken.
    """
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return None
    return _spoken(proxy, told(url), "name an HTTP proxy by HTTPS_PROXY, or leave the host out by NO_PROXY")


def require_spoken_proxies() -> None:
    """Raise DownloadError where the environment names a proxy that is not spoken, for whatever hosts."""
    for kind, proxy in getproxies().items():
        if kind in {*_DEFAULT_PORTS, "all"} and proxy:
            name = f"{kind.upper()}_PROXY"
            _spoken(proxy, f"the environment, {name}", f"name an HTTP proxy by HTTPS_PROXY, and unset {name}")


def _spoken(proxy: str, where: str, remedy: str) -> str:
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        scheme, _ = urlsplit(proxy).scheme, urlsplit(proxy).port
    except ValueError:  # without the address: it may hold a password
        raise DownloadError("the proxy's address cannot be read", where=where, remedy=remedy) from None
    if scheme not in _DEFAULT_PORTS:
        raise DownloadError(f"a proxy of the kind {scheme} is not supported", where=where, remedy=remedy)
    return proxy


def proxy_headers(proxy: str) -> dict[str, str]:
    """What the proxy itself wants to see: the user of its address."""
    user, password = get_auth_from_url(proxy)
    return make_headers(proxy_basic_auth=f"{user}:{password}") if user or password else {}


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def same_origin(first: str, then: str) -> bool:
    """Whether what may be told to the first may be told to the other: also after a mere step up to HTTPS."""
    one, other = origin(first), origin(then)
    return one == other or (one[:1] == ("http",) and one[2] == 80 and other == ("https", one[1], 443))


def told(url: str) -> str:
    """The address for people: no user, no signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_signed(url: str) -> bool:
    """Whether the address itself is what opens it, and so may expire."""
    query = urlsplit(url).query.lower()
    return any(word in query for word in ("signature=", "sig=", "token=", "x-amz-", "expires="))
