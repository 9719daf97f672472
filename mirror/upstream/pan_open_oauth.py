"""Who may use Baidu's open platform: apps, device codes, access and refresh tokens.

Every answer has the body of the real one. Time is what the clock says; codes and tokens
follow from a count, so that a test can name them.

Source: Baidu open platform, "接入授权", device code and refresh of tokens.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mirror.upstream.http import as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.upstream.host import Place
    from mirror.upstream.http import Answer, Request

_CODE_LIFE = 300.0
_INTERVAL = 5
_TOKEN_LIFE = 2592000


@dataclass(frozen=True, slots=True)
class App:
    """An app that a user has registered; it sees ``/apps/<name>``."""

    key: str
    secret: str
    name: str


@dataclass(slots=True)
class _Device:
    """A device code: who asked for it, until when, and what the user said."""

    app: App
    user_code: str
    expires: float
    interval: int = _INTERVAL
    asked: float | None = None
    verdict: str = ""


@dataclass(slots=True)
class Grants:
    """Apps, and what their user has allowed them; a host of its own, ``openapi.baidu.com``.

    Attributes:
        clock: Seconds.
        apps: By app key.
        refreshes: How many refresh tokens were used up.
    """

    clock: Callable[[], float] = time.time
    apps: dict[str, App] = field(default_factory=dict)
    refreshes: int = 0
    _devices: dict[str, _Device] = field(default_factory=dict)
    _access: dict[str, tuple[App, float]] = field(default_factory=dict)
    _refresh: dict[str, App] = field(default_factory=dict)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def register(self, key: str, secret: str, name: str) -> App:
        """Make an app known."""
        return self.apps.setdefault(key, App(key, secret, name))

    def approve(self, user_code: str, *, verdict: str = "yes") -> None:
        """Let the user say yes, or anything else for no, to the device that shows ``user_code``.

        Raises:
            KeyError: No device does.
        """
        with self._lock:
            found = [device for device in self._devices.values() if device.user_code == user_code]
            if not found:
                raise KeyError(user_code)
            found[0].verdict = verdict

    def grant(self, app: App) -> dict[str, Any]:
        """Return fresh tokens of ``app``, as JSON values; earlier access tokens of it end."""
        with self._lock:
            self._access = {token: held for token, held in self._access.items() if held[0] is not app}
            return self._granted(app)

    def app_of(self, token: str) -> App | None:
        """Return whose access token this is; None when it is nobody's, or has ended."""
        with self._lock:
            app, until = self._access.get(token, (None, 0.0))
        return app if self.clock() < until else None

    def revoke(self) -> None:
        """End every access token, as the user does in the settings of the account."""
        with self._lock:
            self._access.clear()

    def reply(self, request: Request, place: Place) -> Answer:
        """Answer one request to ``/oauth/2.0/``."""
        asked = request.parameters
        app = self.apps.get(asked.get("client_id", ""))
        if request.path not in {"/oauth/2.0/device/code", "/oauth/2.0/token"}:
            return _error(404, "not_found", "no such page")
        if app is None:
            return _error(401, "invalid_client", "unknown client id")
        if request.path == "/oauth/2.0/device/code":
            return self._device_code(app, asked, place)
        if asked.get("client_secret") != app.secret:
            return _error(401, "invalid_client", "Client authentication failed")
        if asked.get("grant_type") == "device_token":
            return self._device_token(app, asked.get("code", ""))
        if asked.get("grant_type") == "refresh_token":
            return self._refreshed(app, asked.get("refresh_token", ""))
        return _error(400, "unsupported_grant_type", "The authorization grant type is not supported")

    def names(self, request: Request) -> list[str]:
        """Return what a fault script may call the request: its path, and the same with the kind of grant."""
        return [request.path, f"{request.path}?grant_type={request.parameters.get('grant_type', '')}"]

    def _device_code(self, app: App, asked: dict[str, str], place: Place) -> Answer:
        if asked.get("response_type") != "device_code" or "netdisk" not in asked.get("scope", "").split(","):
            return _error(400, "invalid_request", "response_type or scope is wrong")
        with self._lock:
            code, user_code = self._new("device")[:32], self._new("user")[:8]
            self._devices[code] = _Device(app, user_code, self.clock() + _CODE_LIFE)
        base = place.url("openapi")
        return _said(
            {
                "device_code": code,
                "user_code": user_code,
                "verification_url": f"{base}/device",
                "qrcode_url": f"{base}/device/qrcode/{code[:16]}/{user_code}",
                "expires_in": int(_CODE_LIFE),
                "interval": _INTERVAL,
            }
        )

    def _device_token(self, app: App, code: str) -> Answer:
        with self._lock:
            device, now = self._devices.get(code), self.clock()
            if device is None or device.app is not app:
                return _error(400, "invalid_grant", "Invalid device code")
            if now >= device.expires:
                return _error(400, "expired_token", "The device code has expired")
            early = device.asked is not None and now - device.asked < device.interval
            device.asked = now
            if early:
                device.interval *= 2
                return _error(400, "slow_down", "Polling too frequently")
            if not device.verdict:
                return _error(400, "authorization_pending", "User has not yet completed the authorization")
            del self._devices[code]
            if device.verdict != "yes":
                return _error(400, "authorization_declined", "User has declined the authorization")
        return _said(self.grant(app))

    def _refreshed(self, app: App, token: str) -> Answer:
        with self._lock:
            if self._refresh.pop(token, None) is not app:
                return _error(400, "expired_token", "refresh token has been used")
            self.refreshes += 1
            return _said(self._granted(app))

    def _granted(self, app: App) -> dict[str, Any]:
        access, refresh = f"126.{self._new('access')}", f"127.{self._new('refresh')}"
        self._access[access] = (app, self.clock() + _TOKEN_LIFE)
        self._refresh[refresh] = app
        return {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": _TOKEN_LIFE,
            "scope": "basic netdisk",
            "session_key": "",
            "session_secret": "",
        }

    def _new(self, what: str) -> str:
        self._count += 1
        return hashlib.sha256(f"{what} {self._count}".encode()).hexdigest()


def _said(values: dict[str, Any]) -> Answer:
    return as_json(200, json.dumps(values))


def _error(status: int, error: str, description: str) -> Answer:
    return as_json(status, json.dumps({"error": error, "error_description": description}))
