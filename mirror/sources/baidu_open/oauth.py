"""The login: a code that the user types at Baidu's page, the tokens that come of it, fresh ones later.

A refresh token is good for one use: who asks must keep the answer before using it.

Source: Baidu open platform, "设备码模式授权"; RFC 8628 §3.5 (slow_down).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mirror.errors import LoginNeededError, SourceError
from mirror.sources.baidu_open.words import login_error, number, said_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mirror.sources.baidu_open.asking import Platform

#: More than this many questions a minute bring a security check.
_SHORTEST_PAUSE = 5.0
_LONGEST_WAIT = 3600.0
_SCOPE = "basic,netdisk"


@dataclass(frozen=True, slots=True)
class App:
    """The user's own app.

    Attributes:
        key: AppKey.
        secret: SecretKey.
        name: Its folder is ``/apps/<name>``.
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)
    name: str

    @property
    def folder(self) -> str:
        """All that it may see of the user's disk."""
        return f"/apps/{self.name}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What lets an app look into a user's disk.

    Attributes:
        access: Goes with every question.
        refresh: Brings the next pair, once.
        expires: When ``access`` ends, seconds since 1970.
    """

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A login under way.

    Attributes:
        code: Ours; secret.
        user_code: What the user types.
        page: Where.
        expires_in: Seconds until it is too late.
        interval: Seconds between two questions, at the least.
    """

    code: str = field(repr=False)
    user_code: str
    page: str
    expires_in: float
    interval: float

    @property
    def link(self) -> str:
        """The page's address with the code: for a QR code."""
        return f"{self.page}?code={self.user_code}"


def device_code(platform: Platform, app: App) -> DeviceCode:
    """Begin a login.

    Raises:
        LoginNeededError: Baidu does not know the app.
        SourceError: Baidu is not reached, or makes no sense.
    """
    url = f"{platform.bases.openapi}/oauth/2.0/device/code"
    got = platform.ask(url, response_type="device_code", client_id=app.key, scope=_SCOPE)
    if (told := said_in(got)) is not None:
        raise login_error(told, "asking for a login code")
    code, user_code, page = (_text(got, name) for name in ("device_code", "user_code", "verification_url"))
    if not (code and user_code and page):
        raise SourceError("Baidu answers a login without a code", hint="try again later")
    expires, interval = number(got.get("expires_in")) or 300, number(got.get("interval")) or 0
    pause = max(float(interval), _SHORTEST_PAUSE)
    return DeviceCode(code, user_code, page, min(float(expires), _LONGEST_WAIT), pause)


def wait_for_user(
    platform: Platform,
    app: App,
    device: DeviceCode,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Tokens:
    """Ask, as often as Baidu allows, until the user has said yes.

    Args:
        platform: Who is asked.
        app: The app.
        device: The login under way.
        clock: Seconds since 1970.
        sleep: Waits.

    Raises:
        LoginNeededError: The user says no, or nothing until the code has expired.
        SourceError: Baidu is not reached.
    """
    pause, until = device.interval, clock() + device.expires_in
    while clock() + pause <= until:
        sleep(pause)
        got = _token(platform, app, grant_type="device_token", code=device.code)
        told = said_in(got)
        if told is None:
            return tokens_of(got, now=clock())
        if told.code == "slow_down":
            pause *= 2
        elif told.code != "authorization_pending":
            raise login_error(told, "the login")
    raise LoginNeededError("nobody typed the code in time")


def refresh(platform: Platform, app: App, tokens: Tokens, *, now: float) -> Tokens:
    """Return fresh tokens; ``tokens`` are of no use any more, whatever becomes of the answer.

    Raises:
        LoginNeededError: They were of no use before.
        SourceError: Baidu is not reached.
    """
    got = _token(platform, app, grant_type="refresh_token", refresh_token=tokens.refresh)
    if (told := said_in(got)) is not None:
        raise login_error(told, "renewing the token")
    return tokens_of(got, now=now)


def tokens_of(got: Mapping[str, Any], *, now: float) -> Tokens:
    """Return the tokens of an answer.

    Raises:
        SourceError: It holds none.
    """
    access, renewal = _text(got, "access_token"), _text(got, "refresh_token")
    if not (access and renewal):
        raise SourceError("Baidu answers a login without tokens", hint="minibert-mirror baidu login")
    return Tokens(access, renewal, now + (number(got.get("expires_in")) or 0))


def _token(platform: Platform, app: App, **query: str) -> Mapping[str, Any]:
    url = f"{platform.bases.openapi}/oauth/2.0/token"
    return platform.ask(url, **query, client_id=app.key, client_secret=app.secret)


def _text(got: Mapping[str, Any], name: str) -> str:
    value = got.get(name)
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""
