"""huggingface_hub's one HTTP client, lent to us: its requests go through ours, and its answers are bounded.

Invariants: only questions about models leave; neither a token nor the trust in an answer
leaves the endpoint; no answer is larger, slower or longer in coming than anybody has a use for.
"""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

from mirror.bounds import Bounds
from mirror.errors import RedirectError, SourceError
from mirror.sources.bounds import gathered
from mirror.sources.failures import located
from mirror.sources.proxied import Dialled
from mirror.sources.translate import translated
from mirror.wire import is_secure, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.sources.access import HubAccess

#: Of one answer: a repository of 10^5 files has 30 MB of them.
LISTING = Bounds(64 << 20, objects=1 << 20, lists=1 << 18, values=1 << 22)
#: Requests for one listing; a page of the tree names 1000 files.
_PAGES = 200
#: Bytes of all of them.
_ALTOGETHER = 4 * LISTING.size
#: Seconds that a byte may take when the client does not say.
_STALL = 60.0
#: How the body is sent is over once it is read.
_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class _Listing(threading.local):
    """What this thread's listing has asked for so far."""

    requests = 0
    size = 0


class _ThroughOurs(httpx2.BaseTransport):
    """Sends the requests of huggingface_hub through our client.

    Only questions about models leave: huggingface_hub would also ask for a list of programs
    that may have started it.
    """

    def __init__(self, client: httpx2.Client, hub: HubAccess, so_far: _Listing) -> None:
        self._client = client
        self._hub = hub
        self._so_far = so_far

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        if "/api/models/" not in request.url.path:
            return httpx2.Response(404, request=request)
        if is_secure(self._hub.endpoint) and not is_secure(url):
            raise RedirectError(f"{redact(self._hub.endpoint)}: leads from https to {redact(url)}")
        if self._hub.token_for(url) is None:
            request.headers.pop("authorization", None)
        self._so_far.requests += 1
        if self._so_far.requests > _PAGES:
            raise SourceError(f"{redact(url)}: a listing of more than {_PAGES} pages")
        dialled = Dialled()
        # Of the codings only this one is told to be as harmless as it is: a byte becomes a thousand at the most.
        request.headers["accept-encoding"] = "gzip"
        request.extensions |= {"timeout": self._client.timeout.as_dict(), "trace": dialled}
        try:
            reply = self._client.send(request, stream=True, follow_redirects=False)
            # Read here, so that an error of the body is ours as well: huggingface_hub would try again, asleep.
            with closing(reply):
                return self._whole(reply, request)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise located(translated(error, proxy=dialled.whom), url) from error
        except SourceError as error:
            raise located(error, url) from error

    def _whole(self, reply: httpx2.Response, request: httpx2.Request) -> httpx2.Response:
        """Return ``reply`` with its body read; without it where the status and the headers say everything."""
        if not reply.is_success:
            return httpx2.Response(reply.status_code, headers=_about_more_than_the_body(reply), request=request)
        if reply.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity", "gzip"}:
            raise SourceError("the answer comes in a coding that nobody asked for", transient=True)
        data = gathered(reply.iter_bytes(), LISTING, stall=self._client.timeout.read or _STALL)
        self._so_far.size += len(data)
        if self._so_far.size > _ALTOGETHER:
            raise SourceError(f"a listing of more than {_ALTOGETHER} B")
        return httpx2.Response(
            reply.status_code, headers=_about_more_than_the_body(reply), content=data, request=request
        )

    def close(self) -> None:
        """Leave our client open: it is not huggingface_hub's."""


def _about_more_than_the_body(reply: httpx2.Response) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in reply.headers.raw if name.lower().decode("latin-1") not in _OF_THE_BODY]


class _HubClient:
    """huggingface_hub's one client for the whole process, lent to us.

    Threads that list at the same time share the first one's client. After the last of
    them huggingface_hub makes its default client again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._so_far = _Listing()

    @contextmanager
    def through(self, client: httpx2.Client, hub: HubAccess) -> Iterator[None]:
        """Let huggingface_hub ask through ``client``; what one thread asks here counts as one listing."""
        self._so_far.requests = self._so_far.size = 0
        with self._lock:
            if not self._users:
                transport = _ThroughOurs(client, hub, self._so_far)
                set_client_factory(lambda: httpx2.Client(transport=transport, follow_redirects=True, trust_env=False))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    set_client_factory(default_client_factory)


HUB_CLIENT = _HubClient()
