"""Whom we trust: the TLS context, as the environment says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class TlsContext:
    """Makes the TLS context once, at the first https request: loading CAs takes 20 ms.

    Args:
        environ: The first of ``SSL_CERT_FILE``, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` counts, and
            with none of them and no ``SSL_CERT_DIR`` the system's own CAs.
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
        import ssl  # a pull over plain http does without it

        if not self._bundle and not self._folder:
            import httpx2  # takes 0.1 s, and knows where every system keeps its CAs

            context = httpx2.create_ssl_context(trust_env=False)
        else:
            is_folder = Path(self._bundle).is_dir() if self._bundle else False
            try:
                context = ssl.create_default_context(
                    cafile=self._bundle if self._bundle and not is_folder else None,
                    capath=self._bundle if is_folder else self._folder or None,
                )
            except OSError as error:
                named = f"{self._variable} ({self._bundle})" if self._bundle else f"SSL_CERT_DIR ({self._folder})"
                raise ssl.SSLError(f"{named} cannot be read: {error.strerror or error}") from error
        context.set_alpn_protocols(["http/1.1"])
        return context
