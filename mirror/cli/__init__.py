"""The command line: parse, call one function, print, exit.

Commands are imported when they are called, so that ``--help`` and a pull with
nothing to do answer at once; the table below holds their short help for that
reason, and a test keeps it true. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mirror import __version__
from mirror.cli.streams import take_streams
from mirror.errors import CROWDED, MirrorError, OpenFilesError, UsageError
from mirror.interrupt import FAREWELL, STOPPED, answer_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.api import Mirror
    from mirror.catalog import Catalog

#: Name, module of ``mirror.cli`` and short help of every command, in the order of a first day.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "The whole job on a built-in miniature upstream, without internet."),
    "init": ("init", "Make DIR a new mirror with the built-in catalog."),
    "pull": ("pull", "Fetch, verify and record what SELECTORS name."),
    "status": ("look", "Show what is held, at which evidence level, and what waits for a person."),
    "ls": ("look", "List held files with their level, size and digest."),
    "path": ("look", "Print the folder of a held model or artifact, for other programs."),
    "why": ("why", "Show everything that is known about FILE."),
    "verify": ("verify", "Read held files again and compare them with what was recorded."),
    "compare": ("compare", "Compare the held weights of each model with each other, tensor by tensor."),
    "identify": ("identify", "Say which model and source each FILE is, by its content."),
    "repair": ("repair", "Fetch again what verify found bad, and only that."),
    "export": ("export", "Write what is held in a form that other programs take."),
    "handoff": ("handoff", "Show what only a person can fetch: link, code, what should come, and whether it has."),
    "probe": ("probe", "Unofficial: ask Baidu Pan's share pages whether links live, and what is in them."),
    "ingest": ("ingest", "Take in what you fetched by hand, recognised by its content, whatever it is called."),
    "baidu": ("baidu", "Fetch from your own disk at Baidu Pan, with an app of your own."),
    "urls": ("urls", "Print every address that the catalog knows, all or of what is selected."),
    "catalog": ("catalog", "Look at, validate and extend the catalog."),
    "lock": ("lock", "Write what was pulled as pins into catalog.lock.json."),
    "gc": ("sweep", "Show, and with --yes delete, what no artifact needs."),
    "du": ("sweep", "Show how much room the mirror takes."),
    "ledger": ("ledger", "Verify, read and export the record of everything that happened."),
    "doctor": ("doctor", "Check disk, file system, hosts, proxies and clocks."),
    "upstream": ("upstream", "Run the embedded miniature of the outside world."),
    "completion": ("completion", "Print the completion script of SHELL."),
}


#: Objects between two searches for garbage: importing makes a hundred thousand that are none.
_GARBAGE = 20_000


class Commands(click.Group):
    """A group that imports a command when it is called, and turns our errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mirror.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest commands when one is unknown."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=3)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take in what stands before the command; ``--help`` is answered here."""
        with _until_the_reader_goes(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; our errors become a line, a hint and an exit code."""
        try:
            with _until_the_reader_goes(ctx):
                return super().invoke(ctx)
        except MirrorError as error:
            ctx.exit(_told(error))


def _told(error: MirrorError) -> int:
    """Tell an error of ours and return its exit code."""
    from mirror.cli.output import paint, say

    first, *others = str(error).split("\n")
    say(f"{paint('error', fg='red')}: {first}", err=True)
    for line in others:
        say(line, err=True)
    if error.hint:
        say(f"  hint: {error.hint}", err=True)
    return error.exit_code


@contextmanager
def _until_the_reader_goes(ctx: click.Context) -> Iterator[None]:
    """End well when the reader of our stdout (``| head``) has read enough; click would call it a failure."""
    try:
        yield
    except BrokenPipeError:
        ctx.exit(0)


class Workspace:
    """What commands work on: the mirror, opened when it is first asked for."""

    def __init__(self, named: Path | None, environ: dict[str, str]) -> None:
        self._named = named
        self.environ = environ

    @cached_property
    def mirror(self) -> Mirror:
        """The mirror; names it on stderr when it is the user's own."""
        from mirror.api import Mirror

        return Mirror.open(self._named, environ=self.environ)

    @property
    def root(self) -> Path:
        """The mirror's folder."""
        return self.mirror.place.root

    @property
    def catalog(self) -> Catalog:
        """The mirror's catalog."""
        return self.mirror.catalog

    @property
    def catalog_path(self) -> Path:
        """Where the mirror's catalog is, or would be written."""
        return self.mirror.place.catalog

    @property
    def ledger_path(self) -> Path:
        """Where the mirror's ledger is."""
        return self.mirror.place.ledger


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done and verified, 1 bug, 2 usage, 3 catalog, 4 integrity, 5 source, 6 store, "
    "7 ledger, 8 something waits for a person (--strict), 130 stopped by Ctrl-C.",
)
@click.version_option(__version__, prog_name="minibert-mirror")
@click.option(
    "--mirror",
    "named",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The mirror to work on. Default: found by walking up from here, else your own.",
)
@click.pass_context
def cli(ctx: click.Context, named: Path | None) -> None:
    """Mirror small BERT-family weights, and prove where every byte came from.

    \b
    minibert-mirror demo                  see it work, without internet
    minibert-mirror pull bert-tiny        one model, from every source that has it
    minibert-mirror pull --all            all 48
    minibert-mirror status                what is held, and how well it is known
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":  # no-color.org; a terminal that obeys nothing
        ctx.color = False
    ctx.obj = Workspace(named, dict(os.environ))


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    answer_signals(_called.__code__)
    gc.set_threshold(_GARBAGE)
    take_streams()
    try:
        code = _called()
    except MirrorError as error:  # help, or a version, that cannot be printed
        code = _told(error)
    except (OSError, ImportError) as error:
        ours = _of_the_system(error)
        if ours is None:
            raise
        error.__traceback__ = error.__context__ = None  # what its frames hold open may be too much to tell of it
        code = _told(ours)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(FAREWELL, err=True)
        code = STOPPED
    _leave(code)


def _called() -> int:
    """Run the command and return its exit code; raises KeyboardInterrupt at any moment when it is told to stop."""
    code = cli.main(prog_name="minibert-mirror", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _of_the_system(error: OSError | ImportError) -> MirrorError | None:
    """Return as one of ours what any command may meet, wherever it is; None for what should not happen."""
    number = getattr(error, "errno", None)
    if number in CROWDED or os.strerror(errno.EMFILE) in str(error):  # a library that cannot be loaded has no number
        return OpenFilesError(str(error))
    try:
        Path.cwd()
    except FileNotFoundError:
        return UsageError("the working directory is gone", hint="cd to one that is there, or name everything in full")
    return None


def _leave(code: int) -> NoReturn:
    """End at once: everything that must be written is.

    Taking the interpreter apart takes 15 ms, and would wait for a thread that waits for the resolver.
    """
    with suppress(BrokenPipeError, MirrorError):  # every line was flushed, and has failed, before
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
