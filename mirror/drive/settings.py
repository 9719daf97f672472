"""Whose app, and whom it asks: from the environment, or from a private file of the user's.

Nothing is shipped: who wants this way registers an app of their own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.drive.private import read
from mirror.errors import UsageError
from mirror.sources.baidu_open.asking import Bases
from mirror.sources.baidu_open.oauth import App

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Folder of this source in the user's configuration, and the files in it.
FOLDER = "baidu-openapi"
CONFIG = "config.json"
TOKENS = "tokens.json"
STATE = "state.json"
_PREFIX = "MINIBERT_MIRROR_BAIDU_"
_NAMES = ("app_key", "secret_key", "app_name", "pan_base", "openapi_base", "range_size", "calls_an_hour")
#: Bytes of a range, at the most: larger ones are refused for some links, whatever the documents promise.
_RANGE = 4 << 20
#: What an app may ask that Baidu has not reviewed.
_CALLS = 10
_REGISTER = (
    "register an app of your own at pan.baidu.com/union, then set MINIBERT_MIRROR_BAIDU_APP_KEY, …_SECRET_KEY and "
    "…_APP_NAME"
)


class Settings(NamedTuple):
    """What this source works with.

    Attributes:
        app: The user's app.
        bases: The hosts that are asked.
        range_size: Bytes of one request, at the most.
        calls_an_hour: What Baidu allows the app.
        folder: Where tokens and the count of calls are kept.
    """

    app: App
    bases: Bases
    range_size: int
    calls_an_hour: int
    folder: Path

    @classmethod
    def of(cls, environ: Mapping[str, str], folder: Path) -> Settings:
        """Return what the environment says, and the configuration file where that is silent.

        Args:
            environ: ``MINIBERT_MIRROR_BAIDU_APP_KEY`` and so on.
            folder: Has the configuration file.

        Raises:
            UsageError: Something is missing or makes no sense, or others may read the file.
            StoreError: The file cannot be read.
        """
        given = _written(folder / CONFIG)
        given |= {name: environ[key] for name in _NAMES if environ.get(key := _PREFIX + name.upper())}
        missing = [name for name in _NAMES[:3] if not given.get(name)]
        if missing:
            names = ", ".join(_PREFIX + name.upper() for name in missing)
            raise UsageError(f"{names} or {folder / CONFIG}: not given", hint=_REGISTER)
        name = given["app_name"].strip()
        if not name.isprintable() or name in {"", ".", ".."} or "/" in name:
            raise UsageError(f"{name!r} is no name of an app", hint="it is the folder's name below /apps")
        plain = Bases()
        bases = Bases(given.get("pan_base", plain.pan), given.get("openapi_base", plain.openapi)).checked()
        app = App(given["app_key"].strip(), given["secret_key"].strip(), name)
        return cls(app, bases, _count(given, "range_size", _RANGE), _count(given, "calls_an_hour", _CALLS), folder)


def _written(path: Path) -> dict[str, str]:
    """Return what the configuration file says; nothing when there is none."""
    data = read(path)
    if data is None:
        return {}
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON") from error
    if not isinstance(found, dict) or not all(isinstance(value, str | int) for value in found.values()):
        raise UsageError(f"{path} is no object of names and texts")
    if unknown := sorted(set(found) - set(_NAMES)):
        raise UsageError(f"{path}: unknown {', '.join(unknown)}", hint=f"there are {', '.join(_NAMES)}")
    return {name: str(value) for name, value in found.items()}


def _count(given: Mapping[str, str], name: str, usual: int) -> int:
    text = given.get(name, str(usual)).strip()
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:12]) < 1 << 30):
        raise UsageError(f"{name} is a whole number above zero, not {text!r}")
    return int(text)
