"""``verify``: judge again what is held."""

from __future__ import annotations

import math
import re
import shlex
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from mirror.cli import complete
from mirror.cli.output import json_option, judged, many, quiet_option, remark, size
from mirror.compare.finding import Soundness
from mirror.errors import IntegrityError, StoreError, UnsoundError

if TYPE_CHECKING:
    from mirror.api import Mirror
    from mirror.cli import Workspace
    from mirror.cli.verify_report import Report
    from mirror.recheck import Portion

#: Seconds of each unit of a duration.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
#: The longest time that makes sense, in seconds: a century.
_LONGEST = 100 * 366 * 86400


def parse_duration(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    """Return ``30d``, ``12h``, ``10m`` or ``30s`` as a duration."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,10}(?:\.[0-9]{1,6})?)([smhdw])", value.lower(), re.ASCII)
    seconds = float(found[1]) * _UNITS[found[2]] if found is not None else _LONGEST
    if seconds >= _LONGEST:
        raise click.BadParameter(f"{value!r} is no duration; write 30s, 10m, 12h, 30d or 2w")
    return timedelta(seconds=seconds)


def parse_sample(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int | None, float | None]:
    """Return ``200`` as a number of blobs, ``10%`` as a part of them all."""
    if value is None:
        return None, None
    if re.fullmatch(r"[1-9][0-9]{0,17}", value, re.ASCII):
        return int(value), None
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%", value, re.ASCII)
    if found is None or not 0 < float(found[1]) <= 100:
        raise click.BadParameter(f"{value!r} is no sample; write a number of blobs, or a part of them: 10%")
    return None, float(found[1]) / 100


@click.command()
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1, shell_complete=complete.selectors)
@click.option(
    "--level",
    type=click.Choice(["stat", "digest", "load", "forward"]),
    default="digest",
    show_default=True,
    help="stat: there, with its size. digest: every byte is read. load: every tensor is judged as well. "
    "forward: the models run.",
)
@click.option(
    "--older-than",
    callback=parse_duration,
    metavar="AGE",
    help="Only what was last judged at this level so long ago, or never: 30d, 12h.",
)
@click.option(
    "--sample",
    callback=parse_sample,
    metavar="N|P%",
    help="Only so many blobs, or this part of all that are held; what was judged longest ago.",
)
@click.option(
    "--time-budget",
    callback=parse_duration,
    metavar="TIME",
    help="Begin nothing further after so long: 30s, 10m; what was judged longest ago comes first.",
)
@click.option(
    "--transformers",
    is_flag=True,
    help="With --level forward: transformers, where it is installed, has to load and say the same.",
)
@json_option
@quiet_option
@click.pass_obj
def verify(
    workspace: Workspace,
    selectors: tuple[str, ...],
    *,
    level: str,
    older_than: timedelta | None,
    sample: tuple[int | None, float | None],
    time_budget: timedelta | None,
    transformers: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read held files again and compare them with what was recorded.

    Opens no socket. A blob whose bytes changed goes to the quarantine, so that no
    program takes it for the real one; `minibert-mirror repair` fetches what is bad of it.
    A blob that only a first read finds changed is intact, and said to be transient. One
    that cannot be read stops nothing. Ends with 4 when something is bad, else with 6 when
    something cannot be read.

    \b
    minibert-mirror verify                            everything, every byte
    minibert-mirror verify --level stat               quick: is all there?
    minibert-mirror verify --level load               also: are the weights what the model needs?
    minibert-mirror verify --level forward            also: does the model run?
    minibert-mirror verify --level forward --transformers    and does transformers say the same?
    minibert-mirror verify bert-tiny
    minibert-mirror verify --older-than 30d --time-budget 2h    every night, a part
    minibert-mirror verify --sample 10%               ten times, and everything was read

    Of a portion, artifacts take turns at the levels load and forward: blobs first, then their
    weights. A deeper look counts for the shallower levels, never the other way.
    """
    from mirror.cli.verify_report import Report
    from mirror.recheck import Portion

    if transformers:
        from mirror.second_opinion import require

        if level != "forward":
            raise click.UsageError("--transformers goes with --level forward")
        require()
    portion = Portion(older_than, *sample, None if time_budget is None else time_budget.total_seconds())
    begun = time.monotonic()
    report = Report(level, as_json=as_json)
    for found in workspace.mirror.judge(*selectors, level=level, portion=portion):
        report.tell(found)
    _sum_up(report, level, quiet=quiet or as_json)
    if transformers and report.artifacts:
        _ask(workspace.mirror, report, portion, begun, quiet=quiet or as_json)
    _raise(report, selectors)


def _sum_up(report: Report, level: str, *, quiet: bool) -> None:
    plain = "stat" if level == "stat" else "digest"
    bad = f"{report.bad} not" + (f", {len(report.unreadable)} unreadable" if report.unreadable else "")
    read = f"{size(report.read)} at level {plain}{report.left(plain)}"
    remark(f"{many(report.good, 'blob')} intact, {bad}; {read}", quiet=quiet)
    if level != plain:
        report.tell_unchecked()
        remark(f"{judged(report.weights)}, at level {level}{report.left(level)}", quiet=quiet)


def _raise(report: Report, selectors: tuple[str, ...]) -> None:
    """Raise the gravest of what was told.

    Raises:
        IntegrityError: Blobs are bad.
        UnsoundError: Weights are.
        StoreError: Blobs cannot be read.
    """
    if report.bad:
        command = shlex.join(("minibert-mirror", "repair", *selectors))
        raise IntegrityError(
            f"{many(report.bad, 'blob')} {'is' if report.bad == 1 else 'are'} not what was recorded",
            hint=f"`{command}` fetches what is bad, and only that",
        )
    if unsound := report.weights[Soundness.UNSOUND]:
        raise UnsoundError(f"{many(unsound, 'weight file')} {'is' if unsound == 1 else 'are'} unsound")
    if report.unreadable:
        raise StoreError(
            f"{many(len(report.unreadable), 'blob')} cannot be read",
            hint="look after the rights of the files, or the disk; nothing is known of their bytes",
        )


def _ask(mirror: Mirror, report: Report, portion: Portion, begun: float, *, quiet: bool) -> None:
    """Have transformers say what it makes of the artifacts that were judged, as long as there is time."""
    until = math.inf if portion.seconds is None else begun + portion.seconds
    left = [artifact.name for artifact in mirror.select(*report.artifacts)]
    stop = threading.Event()
    for opinion in mirror.second_opinions(*left, stop=stop) if time.monotonic() < until else ():
        report.tell_opinion(opinion)
        while not opinion.name.startswith(f"{left.pop(0)}/"):
            pass  # of these there was nothing to ask
        if time.monotonic() >= until:
            stop.set()
    if left and time.monotonic() >= until:
        remark(f"{many(len(left), 'artifact')} left that transformers was not asked about", quiet=quiet)
