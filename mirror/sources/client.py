"""One HTTP client for everything: direct connections are ours, proxied ones are httpx2's.

The environment is a value that is passed in, and nothing is read a second time: no
``.netrc``, no cookies kept, no proxy for the machine itself.
"""

from __future__ import annotations

import ssl
import threading
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING
from weakref import WeakSet

import httpx2

from mirror.sources.direct import USER_AGENT
from mirror.sources.proxied import shut
from mirror.sources.proxies import proxies
from mirror.sources.transport import DirectTransport

if TYPE_CHECKING:
    import urllib.request
    from collections.abc import Callable, Mapping
    from http.client import HTTPResponse

    from mirror.sources.direct import Direct


def make_client(environ: Mapping[str, str], direct: Direct) -> httpx2.Client:
    """Return the client, which has opened nothing yet.

    Args:
        environ: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY`` (lower case wins).
        direct: Makes direct connections; says how long to wait, and whom to trust.
    """
    tls = direct.tls
    return httpx2.Client(
        transport=DirectTransport(direct),
        mounts={key: ProxyTransport(proxy, tls) if proxy else None for key, proxy in proxies(environ).items()},
        headers={"User-Agent": USER_AGENT},
        cookies=_NoCookies(),
        timeout=httpx2.Timeout(direct.stall, connect=direct.connect, pool=None),
        trust_env=False,
    )


class ProxyTransport(httpx2.BaseTransport):
    """httpx2's own transport through one proxy, made at the first request.

    Args:
        proxy: The proxy's address; user info in it is sent to the proxy.
        tls: Gives the TLS context.
    """

    def __init__(self, proxy: str, tls: Callable[[], ssl.SSLContext]) -> None:
        self._proxy = proxy
        self._tls = tls
        self._lock = threading.RLock()  # ``close`` may be called from a signal handler
        self._transport: httpx2.HTTPTransport | None = None
        self._open: WeakSet[httpx2.Response] = WeakSet()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request`` through the proxy.

        Raises:
            httpx2.ProxyError: The proxy refuses, or its address makes no sense.
            httpx2.TransportError: As httpx2's transport.
        """
        response = self._made().handle_request(request)
        with self._lock:
            self._open.add(response)
        return response

    def _made(self) -> httpx2.HTTPTransport:
        with self._lock:
            if self._transport is None:
                try:
                    self._transport = httpx2.HTTPTransport(
                        verify=self._tls(), proxy=self._proxy, trust_env=False, limits=httpx2.Limits()
                    )
                except ssl.SSLError as error:
                    raise httpx2.ConnectError(str(error)) from error
                except ImportError as error:
                    raise httpx2.ProxyError("a SOCKS proxy needs the package `socksio`") from error
                except (ValueError, httpx2.InvalidURL) as error:
                    raise httpx2.ProxyError("the proxy's address makes no sense") from error
            return self._transport

    def close(self) -> None:
        """Close its connections, from any thread; bodies under way fail at once."""
        with self._lock:
            transport, under_way = self._transport, list(self._open)
        for response in under_way:
            shut(response)
        if transport is not None:
            transport.close()


class _NoCookies(CookieJar):
    """Keeps nothing: no source needs a cookie, and parsing them costs a tenth of a small request."""

    def extract_cookies(self, response: HTTPResponse, request: urllib.request.Request) -> None:
        return
