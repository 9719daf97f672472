"""Questions to Baidu as one user's app: counted, with a valid token, repeated only where that helps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.drive.memory import HOUR, State, TokenFile
from mirror.drive.settings import STATE, TOKENS
from mirror.errors import BaiduError, LoginNeededError, QuotaError, SourceError
from mirror.sources.baidu_open import oauth
from mirror.sources.baidu_open.files import BATCH, PAGE, links_of, page_of
from mirror.sources.baidu_open.words import Remedy, platform_error, said_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mirror.drive.settings import Settings
    from mirror.sources.baidu_open.asking import Platform
    from mirror.sources.baidu_open.files import Entry
    from mirror.sources.baidu_open.oauth import DeviceCode, Tokens

#: Seconds for which a listing is believed: asking costs a call of ten.
FRESH = HOUR
#: A token that ends within so many seconds is renewed before it is used.
_MARGIN = 600.0
_RETRIES = 3
_FIRST_PAUSE = 2.0


class Listed(NamedTuple):
    """What is in the app's folder.

    Attributes:
        folder: ``/apps/<name>``.
        entries: Every file below it, by path.
        age: Seconds since Baidu said so.
        calls_left: What may still be asked within the hour.
    """

    folder: str
    entries: tuple[Entry, ...]
    age: float
    calls_left: int


class Session:
    """One user's app.

    Args:
        settings: Whose, and whom it asks.
        platform: Asks.
        now: Seconds since 1970.
        sleep: Waits.
    """

    def __init__(
        self,
        settings: Settings,
        platform: Platform,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.now = now
        self.sleep = sleep
        self._platform = platform
        self._file = TokenFile(settings.folder / TOKENS, settings.app)
        self._tokens: Tokens | None = None

    def login(self, show: Callable[[DeviceCode], None]) -> None:
        """Let the user say yes in a browser, and keep the tokens that come of it.

        Args:
            show: Shows the user where to type which code.

        Raises:
            LoginNeededError: The user says no, or nothing in time; or Baidu does not know the app.
            SourceError: Baidu is not reached.
            UsageError: What is in the tokens' place is no file, or can be read by others.
            StoreError: The tokens cannot be kept.
        """
        app = self.settings.app
        self._file.load()  # what could not be kept is not asked for
        device = oauth.device_code(self._platform, app)
        show(device)
        tokens = oauth.wait_for_user(self._platform, app, device, clock=self.now, sleep=self.sleep)
        self._file.save(tokens)
        self._tokens = tokens

    def expires(self) -> float | None:
        """Return when the token ends; None when nobody is logged in.

        Raises:
            UsageError: Others may read the file with it.
            StoreError: It cannot be read.
        """
        tokens = self._file.load()
        return tokens.expires if tokens is not None else None

    def state(self) -> State:
        """Return the count of calls, and the last listing; raises as ``expires``."""
        return State.load(self.settings.folder / STATE)

    def calls_left(self) -> int:
        """Return how many questions may still be asked within the hour; raises as ``expires``."""
        return self.state().left(self.settings.calls_an_hour, self.now())

    def token(self) -> str:
        """Return a token that is valid for a while yet.

        Raises:
            LoginNeededError: A person has to log in.
            SourceError: Baidu is not reached.
            UsageError, StoreError: The file with the tokens cannot be used.
        """
        tokens = self._tokens or self._file.load()
        if tokens is None:
            raise LoginNeededError("nobody is logged in")
        self._tokens = tokens
        if self.now() >= tokens.expires - _MARGIN:
            self.renew()
        return self._tokens.access

    def renew(self) -> None:
        """Get fresh tokens, and keep them before anybody uses them; raises as ``token``."""
        old, held = self._tokens, self._file.load()
        if held is None:
            raise LoginNeededError("nobody is logged in")
        if old is not None and held.access != old.access:
            self._tokens = held  # another process was quicker
            return
        try:
            fresh = oauth.refresh(self._platform, self.settings.app, held, now=self.now())
        except LoginNeededError:
            again = self._file.load()
            if again is None or again.access == held.access:
                raise
            fresh = again  # another process used the same token in this very moment
        else:
            self._file.save(fresh)
        self._tokens = fresh

    def listing(self, *, update: bool = False) -> Listed:
        """Return what is in the app's folder: as Baidu said within the last hour, or says now.

        Args:
            update: Ask in any case.

        Raises:
            QuotaError: The hour's calls are used up.
            LoginNeededError: A person has to log in.
            BaiduError: Baidu refuses.
            SourceError: Baidu is not reached.
            UsageError, StoreError: The files with tokens and state cannot be used.
        """
        state, folder = self.state(), self.settings.app.folder
        age = self.now() - state.listed_at if state.listed_at is not None else -1.0
        if update or not 0 <= age < FRESH or any(not e.path.startswith(f"{folder}/") for e in state.entries):
            found = self._list(folder)
            state = self.state()
            state.listed_at, state.entries, age = self.now(), found, 0.0
            state.save(self.settings.folder / STATE)
        return Listed(folder, state.entries, age, state.left(self.settings.calls_an_hour, self.now()))

    def _list(self, folder: str) -> tuple[Entry, ...]:
        found: dict[int, Entry] = {}
        start: int | None = 0
        while start is not None:
            query: dict[str, str | int] = {
                "method": "listall",
                "path": folder,
                "recursion": 1,
                "start": start,
                "limit": PAGE,
                "web": 0,
            }
            page = page_of(self._call("multimedia", f"listing {folder}", query), folder, start)
            found |= {entry.fs_id: entry for entry in page.entries}
            start = page.following
        return tuple(sorted(found.values(), key=lambda entry: entry.path))

    def links(self, entries: Sequence[Entry]) -> dict[int, tuple[Entry, str]]:
        """Return fresh links of at most a hundred files, by number, with what Baidu now says of each.

        A file that is gone is not among them; raises as ``listing``.
        """
        asked = f"[{','.join(str(entry.fs_id) for entry in entries[:BATCH])}]"
        query: dict[str, str | int] = {"method": "filemetas", "fsids": asked, "dlink": 1}
        got = self._call("multimedia", "asking for links", query)
        return {entry.fs_id: (entry, link) for entry, link in links_of(got)}

    def _call(self, what: str, why: str, query: Mapping[str, str | int]) -> Mapping[str, Any]:
        """Ask one question; with a fresh token once, and again a few times when Baidu has trouble."""
        renewed, pause = False, _FIRST_PAUSE
        for tries in range(1, _RETRIES + 3):
            try:
                return self._once(what, why, query)
            except BaiduError as error:
                if error.remedy == Remedy.LOGIN and not renewed:
                    renewed = True
                    self.renew()
                    continue
                if error.remedy == Remedy.LOGIN:
                    raise LoginNeededError(str(error)) from error
                if error.remedy != Remedy.RETRY or tries > _RETRIES:
                    raise
            except SourceError as error:
                if not error.transient or tries > _RETRIES:
                    raise
            self.sleep(pause)
            pause *= 2
        raise LoginNeededError(f"{why}: Baidu takes no token of ours")

    def _once(self, what: str, why: str, query: Mapping[str, str | int]) -> Mapping[str, Any]:
        token, limit = self.token(), self.settings.calls_an_hour
        path = self.settings.folder / STATE
        state = State.load(path)
        state.take(limit, self.now())
        state.save(path)  # counted before it is asked: a crash must not give a call away
        url = f"{self.settings.bases.pan}/rest/2.0/xpan/{what}"
        got = self._platform.ask(url, **query, access_token=token)
        if (told := said_in(got)) is None:
            return got
        error = platform_error(told, why)
        if isinstance(error, QuotaError):
            state.blocked = self.now() + HOUR
            state.save(path)
        raise error
