"""One run of a probe: whom to ask, whom the ledger answers for, and when to stop.

It stops at the first captcha, when nobody answers three times in a row, and at sixty shares.
What was found until then is recorded, each share before the next is asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mirror.errors import CaptchaError, DeadShareError, SourceError, WrongCodeError
from mirror.probe.memory import Memory, as_event
from mirror.probe.outcome import Clock, Outcome, Probed
from mirror.sources.shares.link import Link
from mirror.sources.shares.pace import GAP, Pace
from mirror.sources.shares.routes import ask_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import httpx2

    from mirror.catalog import Artifact
    from mirror.model import Event

#: Shares that one run asks at the most.
MOST = 60
#: How long a settled answer holds.
DAY = timedelta(hours=24)
#: How long nobody is asked after a captcha: that long it takes to go away.
CALM = timedelta(minutes=15)
#: Shares in a row without an answer after which nobody seems to be there.
_SILENT = 3


def shares_of(artifacts: Iterable[Artifact]) -> list[tuple[Artifact, Link]]:
    """Return the artifacts that are shares with an address, and whom their addresses mean.

    Raises:
        UsageError: An address is no share's.
    """
    return [(one, Link.of(one.url)) for one in artifacts if one.waits_for_person and one.url is not None]


class Prober:
    """Asks shares, one after the other.

    Args:
        memory: What is known already.
        again: Whether to ask whoever was asked a moment ago too.
        clock: Time.
    """

    def __init__(self, memory: Memory, *, again: bool = False, clock: Clock | None = None) -> None:
        self._memory = memory
        self._again = again
        self._clock = clock or Clock()
        self._stopped = ""
        self._asked = 0
        self._silent = 0
        self._mine = Memory()

    def known(self, artifact: Artifact, link: Link) -> Probed | None:
        """Return what is said of a share without asking anybody; None where it has to be asked."""
        now = self._clock.now()
        found = self._mine.last(link) or (None if self._again else self._memory.fresh(link, now, DAY))
        if found is not None:
            return found._replace(artifact=artifact.name, cached=True)
        if not self._stopped and not self._again and (last := self._memory.captcha(link, now, CALM)):
            minutes = (now - (last.at or now)).total_seconds() / 60
            self._stopped = f"{last.host} wanted a captcha {minutes:.0f} minutes ago"
        if not self._stopped and self._asked >= MOST:
            self._stopped = f"{MOST} shares were asked; the same command goes on"
        if self._stopped:
            return Probed(artifact.name, link.host, link.surl, Outcome.NOT_ASKED, self._stopped)
        return None

    def plan(self, shares: Sequence[tuple[Artifact, Link]]) -> Iterator[Probed]:
        """Yield what a run would do, asking nobody: what is known, and who would be asked."""
        for artifact, link in shares:
            found = self.known(artifact, link)
            if found is None:
                found = Probed(artifact.name, link.host, link.surl, Outcome.NOT_ASKED, "would be asked")
                self._asked += 1
            yield found

    def run(
        self,
        shares: Sequence[tuple[Artifact, Link]],
        visit: Callable[[], AbstractContextManager[httpx2.Client]],
        record: Callable[[Event], None],
    ) -> Iterator[Probed]:
        """Yield each share as it was found.

        Args:
            shares: Whom to ask.
            visit: Gives what sends the requests to one share.
            record: Puts an event into the ledger.

        Raises:
            LedgerError: What ``record`` raises.
        """
        pace = Pace(self._clock.monotonic, self._clock.sleep, self._rest())
        for artifact, link in shares:
            found = self.known(artifact, link)
            if found is None:
                with visit() as client:
                    found = self._ask(client, artifact, link, pace)
                record(as_event(found))
                self._note(found)
            yield found

    def _rest(self) -> float:
        """Return the seconds that are left of the gap after the last request of an earlier run."""
        if self._memory.asked is None:
            return 0.0
        since = (self._clock.now() - self._memory.asked).total_seconds()
        return min(GAP, max(0.0, GAP - since))  # a clock that was put back makes nobody wait for longer

    def _ask(self, client: httpx2.Client, artifact: Artifact, link: Link, pace: Pace) -> Probed:
        self._asked += 1
        none = Probed(artifact.name, link.host, link.surl, Outcome.NETWORK)
        try:
            shown = ask_share(client, link, artifact.code, pace)
        except DeadShareError as error:
            found = none._replace(outcome=Outcome.DEAD, why=str(error))
        except WrongCodeError as error:
            found = none._replace(outcome=Outcome.WRONG_CODE, why=str(error))
        except CaptchaError as error:
            found = none._replace(outcome=Outcome.CAPTCHA, why=str(error))
        except SourceError as error:
            found = none._replace(why=str(error))
        else:
            why = "" if shown.files is not None else "too much of it to list politely"
            found = none._replace(outcome=Outcome.ALIVE, why=why, route=shown.route, files=shown.files)
        return found._replace(at=self._clock.now())

    def _note(self, found: Probed) -> None:
        """Learn from an answer whether to go on."""
        self._mine.add(found)
        self._silent = self._silent + 1 if found.outcome is Outcome.NETWORK else 0
        if found.outcome is Outcome.CAPTCHA:
            self._stopped = f"{found.host} wants a captcha"
        elif self._silent >= _SILENT:
            self._stopped = f"{_SILENT} shares in a row did not answer"
