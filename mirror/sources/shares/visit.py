"""The requests of one visit to one share: paced, bounded in size and time, with cookies that leave no origin.

Two cookies are kept, for as long as the visit lasts: the visitor's number that the page gives
out, and the proof that the code was accepted. They go to the origin that set them, and redirects
to any other are not followed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2

from mirror.errors import CaptchaError, ConnectionDroppedError, RedirectError, SourceError, StalledError
from mirror.sources.shares.answers import Meaning, as_object, said
from mirror.sources.translate import translated
from mirror.wire import Fields, origin, status_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mirror.sources.shares.link import Link
    from mirror.sources.shares.pace import Pace
    from mirror.wire.pan import ShareSecret

#: Bytes of a reply that are read; a hundred entries take fifty thousand.
LARGEST = 4 << 20
#: Seconds that a whole reply may take, however it drips.
LONGEST = 60.0
_HOPS = 5
_COOKIE = re.compile(r"(BAIDUID|BDCLND)=([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,512})(?:;|\Z)", re.ASCII)
_FORM = "application/x-www-form-urlencoded; charset=UTF-8"
#: Statuses by which a host says that it does not want programs to ask.
_REFUSALS = frozenset({401, 403, 429})


class Got(NamedTuple):
    """A reply: status, path that it came from in the end, and body."""

    status: int
    path: str
    headers: Fields
    body: bytes


class Visit:
    """One visit.

    Args:
        client: Sends requests; keeps no cookies itself.
        link: The share.
        pace: Says when.
        cookies: Cookies to begin with.

    Attributes:
        link: The same.
        answered: Whether the host has answered anything at all.
    """

    def __init__(self, client: httpx2.Client, link: Link, pace: Pace, cookies: Mapping[str, str] | None = None) -> None:
        self.link = link
        self.answered = False
        self._client = client
        self._pace = pace
        self._cookies = dict(cookies or {})

    def prove(self, secret: ShareSecret) -> None:
        """Show ``secret`` with every further request."""
        self._cookies["BDCLND"] = secret.randsk

    def page(self) -> Got:
        """Ask for the share's page, and follow where it leads on the same host.

        Raises:
            CaptchaError: It leads to a login, as it does for robots.
            SourceError: It leads elsewhere, in a circle, or does not come.
        """
        url = self.link.page
        for _ in range(_HOPS):
            got = self._ask("GET", url)
            location = got.headers.only("location")
            if got.status not in {301, 302, 303, 307, 308} or location is None:
                return got
            url = self._next(url, location)
        raise RedirectError(f"{self.link.page}: more than {_HOPS} redirects")

    def _next(self, url: str, location: str) -> str:
        try:
            url = urljoin(url, location)
        except ValueError as error:
            raise RedirectError(f"{self.link.page}: leads to an address that is none") from error
        if origin(url) == origin(self.link.base):
            return url
        host = (origin(url) or ("", "", 0))[1]
        if host.startswith(("passport.", "wappass.")):
            raise CaptchaError(f"{self.link.page}: leads to a login, as it does for robots")
        raise RedirectError(f"{self.link.page}: leads to another host, {host or 'which has no name'}")

    def call(
        self, path: str, query: Mapping[str, str], form: Mapping[str, str] | None = None, *, referer: str = ""
    ) -> dict[str, Any]:
        """Ask one of the interfaces and return its JSON.

        Args:
            path: Which.
            query: Parameters of the address.
            form: Fields of the body; None for a GET.
            referer: Path of the page that would ask this in a browser.

        Raises:
            CaptchaError: The host does not want to be asked.
            SourceError: No JSON comes.
        """
        headers = {"Accept": "application/json"} | ({"Referer": f"{self.link.base}{referer}"} if referer else {})
        body = None if form is None else urlencode(form).encode()
        if body is not None:
            headers |= {"Content-Type": _FORM, "X-Requested-With": "XMLHttpRequest"}
        url = f"{self.link.base}{path}?{urlencode(query)}"
        got = self._ask("GET" if body is None else "POST", url, headers, body)
        found = as_object(got.body)
        if found is not None and said(found).meaning is not Meaning.TROUBLE:
            return found  # whatever the status, the reply's own word counts
        if got.status != 200:
            raise self.refusal(got)
        if found is None:
            raise SourceError(f"{self.link.base}{path}: no JSON, but {len(got.body)} B of something else")
        return found

    def refusal(self, got: Got) -> SourceError | CaptchaError:
        """Return what a status other than 200 means."""
        if got.status in _REFUSALS:
            return CaptchaError(f"{self.link.page}: the host refuses to be asked by a program (status {got.status})")
        return status_error(got.status, got.headers, f"{self.link.base}{got.path}")

    def _ask(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Got:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        sent = {"Accept-Encoding": "identity", **(headers or {}), **({"Cookie": cookies} if cookies else {})}
        with self._pace.turn():
            until = self._pace.monotonic() + LONGEST
            try:
                request = self._client.build_request(method, url, headers=sent, content=body)
                response = self._client.send(request, stream=True, follow_redirects=False)
                try:
                    self.answered = True
                    data = self._read(response, until)
                finally:
                    response.close()
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                ours = translated(error)
                ours.args = (f"{self.link.page}: {ours}",)
                raise ours from error
            except RuntimeError as error:
                if not self._client.is_closed:
                    raise
                raise ConnectionDroppedError("stopped before it was asked") from error
        fields = Fields([(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw])
        for value in fields.all("set-cookie"):
            if kept := _COOKIE.match(value):
                self._cookies[kept[1]] = kept[2]
        return Got(response.status_code, urlsplit(url).path, fields, data)

    def _read(self, response: httpx2.Response, until: float) -> bytes:
        coding = response.headers.get("content-encoding", "identity")
        if coding.strip().lower() != "identity":
            raise SourceError(f"{self.link.page}: the reply is packed, although nobody asked")
        data = bytearray()
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > LARGEST:
                raise SourceError(f"{self.link.page}: a reply of more than {LARGEST >> 20} MiB")
            if self._pace.monotonic() > until:
                raise StalledError(f"{self.link.page}: a reply takes longer than {LONGEST:.0f} s")
        return bytes(data)
