"""The installed command in a subprocess, as a user meets it; and mirrors to call it in.

``Command`` runs it, ``Done`` is what it left behind, ``in_mirror`` makes a mirror whose
catalog names an embedded upstream.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.upstream.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.upstream.server import Server

ROOT = Path(__file__).parents[1]
#: Where the tests' real files are; ``tests/data/SOURCES.md`` says whose they are.
DATA = ROOT / "tests" / "data"
_INSTALLED = Path(sys.executable).with_name("minibert-mirror")
_PROGRAM = [str(_INSTALLED)] if _INSTALLED.exists() else [sys.executable, "-m", "mirror"]


def program() -> str:
    """Return how a shell calls the command."""
    return shlex.join(_PROGRAM)


@dataclass(frozen=True)
class Done:
    """What a command that has ended left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The objects of ``--json``: every line of stdout must be one."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Command:
    """``minibert-mirror`` with a working directory and an environment of its own.

    Attributes:
        cwd: Where it is called; its mirror, when there is one above.
        env: The whole environment: nothing of the caller's but ``PATH``.
    """

    cwd: Path
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it and return the process."""
        return subprocess.Popen(
            [*_PROGRAM, *words],
            cwd=self.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, code: int | None = 0, timeout: float = 60.0) -> Done:
        """Run it to its end; ``code`` is the exit code that it must have, None for any."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert code in (None, process.returncode), f"{words}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)

    def at(self, folder: Path, **env: str) -> Command:
        """Return the command, called in another folder and with more in its environment."""
        return Command(folder, {**self.env, **env})


def fresh_command(folder: Path) -> Command:
    """Return the command in ``folder``, with an empty home and no mirror anywhere above."""
    home = folder / "home"
    home.mkdir()
    env = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "NO_COLOR": "1",
    }
    return Command(folder, env)


def in_mirror(command: Command, folder: Path, server: Server, catalog: Mapping[str, Any] | None = None) -> Command:
    """Make ``folder`` a mirror with a catalog, by default the upstream's own; return the command in it."""
    (folder / "cache").mkdir(parents=True)
    if catalog is None:
        assert isinstance(server.world, World)
        catalog = server.world.catalog(server)
    (folder / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")
    return command.at(folder, HF_ENDPOINT=server.url("hub"))
