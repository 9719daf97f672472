"""The user's own disk at Baidu, by the official interface: login, what is there, bring it home.

Only who asks for it gets it: without an app of the user's own, no request goes to Baidu.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mirror import place
from mirror.api.base import Watch, ignore
from mirror.api.receiving import Receiving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mirror.drive.bring import Brought
    from mirror.drive.session import Listed, Session
    from mirror.sources.baidu_open.node import Nodes
    from mirror.sources.baidu_open.oauth import DeviceCode


class Standing(NamedTuple):
    """How things stand between the user's app and Baidu, as far as it is known here.

    Attributes:
        app: Name of the app.
        folder: What it may see.
        expires: When its token ends, seconds since 1970; None when nobody is logged in.
        expired: Whether it has ended: the next question to Baidu renews it, or a person has to log in again.
        calls_left: What may still be asked within the hour.
        listed_at: When the folder was last listed, seconds since 1970; None for never.
        files: Files that were in it.
        kept_in: Where tokens are kept.
    """

    app: str
    folder: str
    expires: float | None
    expired: bool
    calls_left: int
    listed_at: float | None
    files: int
    kept_in: Path


class Driving(Receiving):
    """The mirror as something that fetches from a disk of the user's.

    Attributes:
        now: Seconds since 1970, for tokens and the hour's calls.
        sleep: Waits, between two questions to Baidu.
    """

    now: Callable[[], float] = staticmethod(time.time)
    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def baidu_login(self, show: Callable[[DeviceCode], None]) -> None:
        """Log in with the user's own app: wait until the user has typed a code at Baidu's page.

        Args:
            show: Is called with the code and the page.

        Raises:
            UsageError: No app is set up, or its file can be read by others.
            LoginNeededError: The user says no, or nothing in time; or Baidu does not know the app.
            SourceError: Baidu is not reached.
            StoreError: The tokens cannot be kept.
        """
        with self._session() as (session, _):
            session.login(show)

    def baidu_logout(self) -> bool:
        """Delete tokens, count of calls and listing; whether there were any.

        Raises:
            StoreError: They cannot be deleted.
        """
        from mirror.drive.private import remove
        from mirror.drive.settings import STATE, TOKENS

        removed = [remove(self._own_folder / name) for name in (TOKENS, STATE)]
        return any(removed)

    def baidu_status(self) -> Standing:
        """Return how things stand; Baidu is not asked.

        Raises:
            UsageError: No app is set up, or a file can be read by others.
            StoreError: A file cannot be read.
        """
        with self._session() as (session, _):
            state, app, expires = session.state(), session.settings.app, session.expires()
            return Standing(
                app.name,
                app.folder,
                expires,
                expires is not None and expires <= self.now(),
                session.calls_left(),
                state.listed_at,
                len(state.entries),
                session.settings.folder,
            )

    def baidu_files(self, *, update: bool = False) -> Listed:
        """Return what is in the app's folder, as Baidu said within the last hour or says now.

        Args:
            update: Ask in any case; it costs a call, of ten an hour.

        Raises:
            QuotaError: The hour's calls are used up.
            LoginNeededError: A person has to log in.
            SourceError: Baidu refuses, or is not reached.
            UsageError: No app is set up, or a file can be read by others.
            StoreError: A file cannot be read or written.
        """
        with self._session() as (session, _):
            return session.listing(update=update)

    def baidu_pull(
        self,
        *patterns: str,
        update: bool = False,
        again: bool = False,
        dry_run: bool = False,
        watch: Watch | None = None,
        stop: threading.Event | None = None,
    ) -> Brought:
        """Fetch what is in the app's folder and not here yet, and take it in by its content.

        A file's problem is not raised: see ``Brought.problems``, and ``Brought.ended`` for why a run ended early.

        Args:
            patterns: Globs over paths below the app's folder, or folders; none means everything.
            update: Ask for a fresh listing in any case.
            again: Fetch also what came before and was of no use.
            dry_run: Stop when it is known what would be fetched.
            watch: Told of progress.
            stop: Ends it; what has come is kept.

        Raises:
            QuotaError: The hour's calls are used up before anything is known.
            LoginNeededError: A person has to log in, likewise.
            SourceError: Baidu refuses or is not reached, likewise.
            UsageError: No app is set up, or a file can be read by others.
            StoreError: The store cannot be written.
            LedgerError: The ledger cannot be read or written.
        """
        from mirror.drive.bring import bring, survey
        from mirror.sync.peers import tell

        with self._session() as (session, nodes):
            with self.reader() as reader:
                done = survey(session, reader, patterns, update=update, again=again)
            if not dry_run:
                bring(session, nodes, self._rooms, done, watch=watch or ignore, stop=stop or threading.Event())
        if done.ingested.taken:
            with self._parts(stall=60.0) as parts:
                tell(parts, [])
        return done

    @property
    def _own_folder(self) -> Path:
        from mirror.drive.settings import FOLDER

        return place.own_config(self._environ) / FOLDER

    @contextmanager
    def _session(self) -> Iterator[tuple[Session, Nodes]]:
        """Open what asks Baidu; close the network at the end."""
        from mirror.drive.session import Session
        from mirror.drive.settings import Settings
        from mirror.sources.baidu_open.asking import AGENT, Platform
        from mirror.sources.baidu_open.node import Nodes
        from mirror.sources.opener import Openers

        settings = Settings.of(self._environ, self._own_folder)
        with Openers.of(self._environ) as openers:
            asker = openers.asker(AGENT)
            platform = Platform(asker, settings.bases)
            yield Session(settings, platform, now=self.now, sleep=self.sleep), Nodes(asker, settings.bases)
