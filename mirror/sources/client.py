"""One HTTP client for everything: direct connections are ours, proxied ones are httpx2's.

The environment is a value that is passed in, and nothing is read a second time: no
``.netrc``, no cookies kept, no proxy for the machine itself.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import threading
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

import httpx2

from mirror import __version__
from mirror.sources.direct import DirectTransport
from mirror.sources.proxied import shut

if TYPE_CHECKING:
    import urllib.request
    from collections.abc import Callable, Mapping
    from http.client import HTTPResponse

USER_AGENT = f"minibert-mirror/{__version__}"
#: An entry of ``NO_PROXY``: a name, perhaps after ``.`` or ``*.``, perhaps with a port.
_NAME = re.compile(r"(\*\.|)\.?((?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+(?::[0-9]{1,5})?)")
_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: A proxy's loopback is not ours; Go's ``ProxyFromEnvironment`` makes the same exception.
_LOOPBACK = ("all://localhost", "all://*.localhost", "all://127.0.0.0/8", "all://[::1]")


def make_client(environ: Mapping[str, str], *, connect: float = 10.0, stall: float = 60.0) -> httpx2.Client:
    """Return the client, which has opened nothing yet.

    Args:
        environ: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY`` (lower case wins), ``SSL_CERT_FILE``,
            ``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``.
        connect: Seconds to wait for a connection.
        stall: Seconds to wait for the next byte.
    """
    tls = TlsContext(environ)
    return httpx2.Client(
        transport=DirectTransport(tls),
        mounts={key: ProxyTransport(proxy, tls) if proxy else None for key, proxy in proxies(environ).items()},
        headers={"User-Agent": USER_AGENT},
        cookies=_NoCookies(),
        timeout=httpx2.Timeout(stall, connect=connect, pool=None),
        trust_env=False,
    )


def proxies(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the proxy of each address pattern, None for addresses that are reached directly.

    Source: curl's ``CURLOPT_NOPROXY``: a name means itself and everything below it, ``*`` everything.
    """
    found = {
        f"{scheme}://": value if "://" in value else f"http://{value}"
        for scheme in ("http", "https", "all")
        if (value := _either(environ, f"{scheme}_proxy"))
    }
    without = [entry.strip() for entry in _either(environ, "no_proxy").split(",") if entry.strip()]
    if not found or "*" in without:
        return {}
    patterns = [*_LOOPBACK, *filter(None, map(_pattern, without))]
    return {**dict.fromkeys(patterns), **found}


def _either(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _pattern(entry: str) -> str | None:
    """Return the httpx2 pattern of one entry of ``NO_PROXY``; None for one that makes no sense, as curl does."""
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name = _NAME.fullmatch(entry)
        return f"all://{name[1] or '*'}{name[2]}" if name else None
    first = str(network.network_address)
    host = f"[{first}]" if network.version == 6 else first
    return f"all://{host}/{network.prefixlen}" if "/" in entry else f"all://{host}"


class TlsContext:
    """Makes the TLS context once, at the first https request: loading CAs takes 20 ms.

    Args:
        environ: See ``make_client``; the first of ``SSL_CERT_FILE``, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE``
            counts, and with none of them and no ``SSL_CERT_DIR`` the system's own CAs.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._variable = next((name for name in _CA_FILES if environ.get(name)), None)
        self._bundle = environ.get(self._variable, "") if self._variable else ""
        self._folder = environ.get("SSL_CERT_DIR", "")
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def __call__(self) -> ssl.SSLContext:
        """Return the context.

        Raises:
            ssl.SSLError: The bundle cannot be read; TLS without the CAs that were asked for would mislead.
        """
        with self._lock:
            if self._context is None:
                self._context = self._load()
            return self._context

    def _load(self) -> ssl.SSLContext:
        if not self._bundle and not self._folder:
            context = httpx2.create_ssl_context(trust_env=False)
        else:
            is_folder = Path(self._bundle).is_dir() if self._bundle else False
            try:
                context = ssl.create_default_context(
                    cafile=self._bundle if self._bundle and not is_folder else None,
                    capath=self._bundle if is_folder else self._folder or None,
                )
            except OSError as error:
                raise ssl.SSLError(f"{self._variable} cannot be read: {error.strerror or error}") from error
        context.set_alpn_protocols(["http/1.1"])
        return context


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
