"""Who has a claim, and whether that process still lives.

A process is named by host, boot, id and start time, so that neither a reused id nor
a reboot brings a dead owner back to life. What cannot be seen from here (another
host, another container's process ids) is left to the heartbeat in ``claims``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mirror.errors import CROWDED
from mirror.store.layout import nonce

#: Seconds without a heartbeat after which an owner that cannot be seen from here counts as gone.
SILENCE = 120.0
_SIGNATURE = re.compile(r"(\d{1,12})-(\w*)-([0-9a-f]{8})-[0-9a-f]{16}$")


class Owner(NamedTuple):
    """The process that has a claim.

    Attributes:
        host: Its host's name, for people.
        machine: What tells hosts of one name apart, a digest of machine-id(5); empty where there is none.
        space: Its process id namespace; containers share a host's name and boot, but not its ids.
        boot: The host's boot; empty where the system does not say.
        pid: The process's id.
        started: When it started, in the system's own words.
        at: When the claim was made, ISO 8601.
        nonce: Names this claim among all.
        doubt: ``reboot`` or ``host`` while the partial has bytes of before a reboot or of another host.
        released: Whether the claim was given up and the bytes are anybody's.
    """

    host: str
    machine: str
    space: str
    boot: str
    pid: int
    started: str
    at: str
    nonce: str
    doubt: str = ""
    released: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.at}"

    def to_json(self) -> bytes:
        """Return what ``owner.json`` holds."""
        return json.dumps(self._asdict(), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes | None) -> Owner | None:
        """Return the owner that ``owner.json`` names; None when it names none."""
        try:
            owner = cls(**json.loads(text or b""))
        except (ValueError, TypeError, RecursionError):
            return None
        return owner if isinstance(owner.pid, int) and owner.pid > 0 else None

    @classmethod
    def me(cls) -> Owner:
        """Return a new claim of this process."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(*_place(), _boot(), os.getpid(), _started(os.getpid()), at, nonce())

    def inheriting(self, previous: Owner | None) -> Owner:
        """Return this claim with the doubt that bytes of ``previous`` bring."""
        doubt = "host" if previous is None else previous.doubt
        if previous is not None and doubt != "host":
            if (previous.host, previous.machine) != (self.host, self.machine):
                doubt = "host"
            elif previous.boot != self.boot:
                doubt = "reboot"
        return self._replace(doubt=doubt)

    def gone(self) -> bool | None:
        """Whether the owner is certainly gone (True) or there (False); None when only its heartbeat can tell."""
        if self.released:
            return True
        if (self.host, self.machine, self.space) != _place():
            return None
        if self.boot != _boot():
            # Without a machine-id, another boot may as well be another host of the same name.
            return True if self.machine else None
        alive = is_alive(self.pid, self.started)
        return None if alive is None else not alive


def signature() -> str:
    """Return a name for work in progress that says whose it is; ``signer_gone`` reads it.

    In the name, because a directory is there before anything can be written into it.
    """
    return f"{os.getpid()}-{_started(os.getpid())}-{_whereabouts()}-{nonce()}"


def signer_gone(name: str) -> bool | None:
    """Whether the process whose signature ends ``name`` is gone; None when that cannot be seen from here."""
    found = _SIGNATURE.search(name)
    if found is None or found[3] != _whereabouts():
        return None
    alive = is_alive(int(found[1]), found[2])
    return None if alive is None else not alive


def is_alive(pid: int, started: str) -> bool | None:
    """Whether the process that started at ``started`` still runs; None when the system does not say.

    A process that has ended and only waits for its parent to look counts as gone.
    """
    if sys.platform == "win32":
        return None  # ``os.kill`` would end the process there
    state, begun = _state(pid)
    if begun:
        return begun == started and state not in {"Z", "X"}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        # Somebody else's, and /proc is mounted so that it shows us only our own (hidepid).
        return None
    return None


@cache
def _place() -> tuple[str, str, str]:
    """Return host, machine and space of this process; a fork has the same."""
    # machine-id(5) wants the number itself kept at home.
    number = _text("/etc/machine-id")
    machine = hashlib.sha256(f"minibert-mirror {number}".encode()).hexdigest()[:16] if number else ""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return os.uname().nodename, machine, space


@cache
def _boot() -> str:
    return _text("/proc/sys/kernel/random/boot_id")


@cache
def _started(pid: int) -> str:
    """Return when this process started; ``pid`` is its id, so that a fork asks anew."""
    return _state(pid)[1]


@cache
def _whereabouts() -> str:
    return hashlib.sha256("\n".join((*_place(), _boot())).encode()).hexdigest()[:8]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        _only_unseen(error)
        return ""


def _only_unseen(error: OSError) -> None:
    """Raise an error that says nothing of what was looked for: an owner that forgets who it is is waited for."""
    if error.errno in CROWDED:
        raise error


def _state(pid: int) -> tuple[str, str]:
    """Return a process's state letter and start time; empty when it cannot be seen.

    Source: proc_pid_stat(5), fields 3 and 22; POSIX ps(1) elsewhere (``lstart`` of the BSDs).
    """
    if not sys.platform.startswith("linux"):
        return _ask_ps(pid)
    try:
        # The command's name, in parentheses, may itself have parentheses and spaces.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError as error:
        _only_unseen(error)
        return "", ""
    return fields[0].decode(), fields[19].decode()


def _ask_ps(pid: int) -> tuple[str, str]:
    import subprocess

    answer = subprocess.run(  # noqa: S603 -- no shell, and the one argument is a number
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        env={"LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    return (answer[0][0], re.sub(r"\W", "", answer[1])) if len(answer) == 2 else ("", "")
