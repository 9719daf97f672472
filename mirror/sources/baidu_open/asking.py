"""One question to Baidu: to its own hosts only, the answer a JSON object of a bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from mirror.bounds import Bounds
from mirror.errors import SourceError, UsageError
from mirror.sources.baidu_open.words import decoded
from mirror.sources.bounds import gathered, pieces
from mirror.sources.failures import located
from mirror.wire import is_secure, origin, redact, status_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.sources.asking import Asker
    from mirror.sources.reply import Body

#: The agent that the platform documents for links; it is sent with every request.
AGENT = "pan.baidu.com"
#: Bytes of an error that are read, and of a listing: a thousand entries are half a MiB.
MOST_ERROR = 64 << 10
_MOST_ANSWER = 16 << 20
#: Seconds that a byte may take.
_STALL = 60.0
#: Where the platform's links lead.
_STORAGE = (".pcs.baidu.com", ".baidupcs.com")


class Bases(NamedTuple):
    """The two hosts that are asked.

    Attributes:
        pan: Lists files.
        openapi: Gives tokens.
    """

    pan: str = "https://pan.baidu.com"
    openapi: str = "https://openapi.baidu.com"

    def checked(self) -> Bases:
        """Return these, without slashes at the end.

        Raises:
            UsageError: One is no address that a secret may be sent to.
        """
        for base in self:
            if origin(base) is None or not base.startswith(("http://", "https://")) or not is_secure(base):
                raise UsageError(f"{redact(base)!r} is no https address: secrets are not sent there")
        return Bases(*(base.rstrip("/") for base in self))

    def trust(self, url: str) -> bool:
        """Whether ``url`` leads to Baidu, and nobody on the way can listen: only then may it have a secret."""
        found = origin(url)
        if found is None or not url.startswith(("http://", "https://")) or not is_secure(url):
            return False
        own = {base[1] for base in map(origin, self) if base is not None}
        return found[1] in own or (own <= {"pan.baidu.com", "openapi.baidu.com"} and found[1].endswith(_STORAGE))


class Platform:
    """Asks questions.

    Args:
        asker: Sends them, as ``AGENT``.
        bases: Whom.
    """

    def __init__(self, asker: Asker, bases: Bases) -> None:
        self.bases = bases
        self._asker = asker

    def ask(self, url: str, **query: str | int) -> Mapping[str, Any]:
        """Return the JSON object that ``url`` answers a question with, an error of Baidu's included.

        Raises:
            SourceError: There is no such answer; the text shows the address without its query.
        """
        asked = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
        try:
            answer = self._asker.ask(f"{url}?{asked}", ())
            try:
                body = read(answer.body, _MOST_ANSWER if answer.status == 200 else MOST_ERROR)
            finally:
                answer.body.close()
        except SourceError as error:
            raise located(error, url) from error
        values = decoded(body)
        if values is None:
            if answer.status != 200:
                raise status_error(answer.status, answer.fields, url)
            raise SourceError(f"{redact(url)}: the answer is no JSON object", transient=True)
        return values


def read(body: Body, limit: int) -> bytes:
    """Return a whole body.

    Raises:
        SourceError: It is longer than ``limit`` bytes, has more in it than an answer can have, or does not come.
    """
    return gathered(pieces(body), Bounds(limit, objects=1 << 17, lists=1 << 15, values=1 << 20), stall=_STALL)
