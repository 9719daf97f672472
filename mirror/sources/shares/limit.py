"""A client for one visit, which ends whatever happens.

Whoever reads a body looks at the clock; a head, or the length of a chunk, that drips byte by byte
lets nobody look. So a second thread closes the connection when a visit takes too long.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mirror.sources.access import HubAccess
from mirror.sources.opener import Openers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx2

#: Seconds without a byte after which a host is given up.
_STALL = 20.0
#: Seconds that one visit may take; its sixty pages, a second apart, take a fifth of that.
_LONGEST = 600.0


@contextmanager
def visitor(environ: Mapping[str, str], *, stall: float = _STALL, longest: float = _LONGEST) -> Iterator[httpx2.Client]:
    """Give a client; what is under way after ``longest`` seconds fails.

    Args:
        environ: Proxies and CA bundles.
        stall: Seconds without a byte after which a request fails.
        longest: Seconds for everything.
    """
    # Not as anybody: a hub's token has no business here.
    with Openers.of(environ, stall=stall, hub=HubAccess()) as openers:
        watchdog = threading.Timer(longest, openers.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield openers.client
        finally:
            watchdog.cancel()
