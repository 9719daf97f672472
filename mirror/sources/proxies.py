"""Which addresses are reached through a proxy, as the environment says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: An entry of ``NO_PROXY``: a name, perhaps after ``.`` or ``*.``, perhaps with a port.
_NAME = re.compile(r"(\*\.|)\.?((?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+(?::[0-9]{1,5})?)")
#: A proxy's loopback is not ours; Go's ``ProxyFromEnvironment`` makes the same exception.
_LOOPBACK = ("all://localhost", "all://*.localhost", "all://127.0.0.0/8", "all://[::1]")


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
    import ipaddress  # most environments name no proxy

    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name = _NAME.fullmatch(entry)
        return f"all://{name[1] or '*'}{name[2]}" if name else None
    first = str(network.network_address)
    host = f"[{first}]" if network.version == 6 else first
    return f"all://{host}/{network.prefixlen}" if "/" in entry else f"all://{host}"
