"""``verify``: judge again what is held."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from mirror.cli.output import and_more, emit, json_option, judged, many, quiet_option, remark, size
from mirror.compare.finding import Severity, Soundness
from mirror.errors import IntegrityError, StoreError, UnsoundError

if TYPE_CHECKING:
    from mirror.api import Mirror
    from mirror.cli import Workspace
    from mirror.prove import Proof
    from mirror.recheck import Portion, Rechecked
    from mirror.second_opinion import Opinion

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
@click.argument("selectors", metavar="[SELECTOR]...", nargs=-1)
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
    help="Only what was last read so long ago, or never: 30d, 12h.",
)
@click.option(
    "--sample",
    callback=parse_sample,
    metavar="N|P%",
    help="Only so many blobs, or this part of all that are held; what was read longest ago.",
)
@click.option(
    "--time-budget",
    callback=parse_duration,
    metavar="TIME",
    help="Begin nothing further after so long: 30s, 10m; what was read longest ago comes first.",
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
    """
    from mirror.recheck import WHOLE, Portion

    if transformers:
        from mirror.second_opinion import require

        if level != "forward":
            raise click.UsageError("--transformers goes with --level forward")
        require()
    portion = Portion(older_than, *sample, None if time_budget is None else time_budget.total_seconds())
    begun = time.monotonic()
    report = _Report(level, as_json=as_json)
    plain = "stat" if level == "stat" else "digest"
    for finding in workspace.mirror.verify(*selectors, level=plain, portion=portion):
        report.tell_bytes(finding)
    later = f"; {many(report.left, 'blob')} left for another time" if report.left else ""
    bad = f"{report.bad} not" + (f", {len(report.unreadable)} unreadable" if report.unreadable else "")
    remark(
        f"{many(report.good, 'blob')} intact, {bad}; {size(report.read)} at level {plain}{later}",
        quiet=quiet or as_json,
    )
    if level in {"load", "forward"}:
        # Of a portion, the artifacts that it has something of.
        names = selectors if portion == WHOLE else tuple(report.artifacts)
        if names or portion == WHOLE:
            _load(workspace.mirror, names, report, portion, begun, forward=level == "forward")
            if transformers and not _over(portion, begun):
                _ask(workspace.mirror, names, report, portion, begun)
        report.tell_unchecked()
        remark(judged(report.weights), quiet=quiet or as_json)
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


def _over(portion: Portion, begun: float) -> bool:
    return portion.seconds is not None and time.monotonic() - begun >= portion.seconds


def _load(
    mirror: Mirror, names: tuple[str, ...], report: _Report, portion: Portion, begun: float, *, forward: bool
) -> None:
    """Load the weights of what ``names`` select, as long as there is time."""
    stop = threading.Event()
    if _over(portion, begun):
        return
    for proof in mirror.prove(*names, forward=forward, stop=stop):
        report.tell_weights(proof)
        if _over(portion, begun):
            stop.set()


def _ask(mirror: Mirror, names: tuple[str, ...], report: _Report, portion: Portion, begun: float) -> None:
    """Have transformers say what it makes of them, as long as there is time."""
    stop = threading.Event()
    for opinion in mirror.second_opinions(*names, stop=stop):
        report.tell_opinion(opinion)
        if _over(portion, begun):
            stop.set()


class _Report:
    """Prints verdicts and counts them."""

    def __init__(self, level: str, *, as_json: bool) -> None:
        self.good = self.bad = self.read = self.left = 0
        self.weights: Counter[Soundness] = Counter()
        self.unreadable: set[str] = set()
        self.artifacts: dict[str, None] = {}
        self._unchecked: dict[str, list[str]] = {}
        self._level = level
        self._as_json = as_json

    def tell_bytes(self, finding: Rechecked) -> None:
        verdict = finding.verdict
        self.good += verdict.ok
        is_unreadable = verdict.status.value == "unreadable"
        self.unreadable |= {verdict.subject.sha256} if is_unreadable else set()
        self.bad += not (verdict.ok or is_unreadable)
        self.read += 0 if is_unreadable else verdict.subject.size
        self.left = finding.left
        self.artifacts |= dict.fromkeys(map(_artifact_of, finding.files))
        if self._as_json:
            emit(
                {
                    "sha256": verdict.subject.sha256,
                    "status": verdict.status.value,
                    "level": verdict.level.value,
                    "actual": verdict.actual,
                    "damage": [list(span) for span in verdict.damage],
                    "transient": verdict.transient,
                    "why": verdict.why or None,
                    "files": list(finding.files),
                }
            )
        elif verdict.transient:
            click.echo(
                f"{click.style('transient', fg='yellow')}  {', '.join(finding.files)}: the first read gave other "
                "bytes, a second was right: look after this machine's memory, disk and cables"
            )
        elif not verdict.ok:
            where = f", damaged bytes {', '.join(f'{a}–{b}' for a, b in verdict.damage[:5])}" if verdict.damage else ""
            where += f": {verdict.why}" if verdict.why else ""
            click.echo(f"{click.style(verdict.status.value, fg='red')}  {', '.join(finding.files)}{where}")

    def tell_weights(self, proof: Proof) -> None:
        loaded = proof.loaded
        is_unreadable = proof.unread is not None
        if is_unreadable:
            self.unreadable.add(loaded.weights.blob)
        else:
            self.weights[loaded.verdict] += 1
        status = "unreadable" if is_unreadable else loaded.verdict.value
        if self._as_json:
            emit(
                {
                    "weights": proof.name,
                    "sha256": loaded.weights.blob,
                    "status": status,
                    "level": self._level,
                    "format": loaded.format,
                    "family": loaded.family,
                    "parameters": loaded.parameters,
                    "roots": dict(loaded.roots),
                    "findings": [one._asdict() for one in loaded.findings],
                    "answer": None if loaded.answer is None else loaded.answer._asdict(),
                }
            )
            return
        if not loaded.sound:
            colour = "yellow" if status == Soundness.UNREAD else "red"
            click.echo(f"{click.style(status, fg=colour)}  {proof.name}")
        for one in loaded.findings:
            if one.severity is not Severity.NOTE or loaded.verdict is Soundness.UNREAD:
                colour = "red" if one.severity is Severity.ERROR else "yellow"
                about = f"{one.tensor}: " if one.tensor else ""
                name = "" if not loaded.sound else f"{proof.name}: "
                click.echo(f"  {click.style(one.severity.value, fg=colour)}  {name}{about}{one.text}")
        for what in proof.unchecked:
            self._unchecked.setdefault(what, []).append(proof.name)

    def tell_unchecked(self) -> None:
        """Say once, of whatever files, what could not be checked."""
        for what, names in self._unchecked.items():
            click.echo(f"{click.style('unchecked', fg='yellow')}  {what}: {and_more(names)}")

    def tell_opinion(self, opinion: Opinion) -> None:
        self.weights[Soundness.UNSOUND] += not opinion.agrees
        if self._as_json:
            emit(
                {
                    "weights": opinion.name,
                    "sha256": opinion.blob,
                    "status": "agrees" if opinion.agrees else "disagrees",
                    "level": self._level,
                    "tool": opinion.tool,
                    "keys": {kind: list(names) for kind, names in opinion.keys.items()},
                    "off": dict(opinion.off),
                    "error": opinion.error or None,
                }
            )
        else:
            click.secho(f"{opinion.name}: {opinion}", fg=None if opinion.agrees else "red")


def _artifact_of(file: str) -> str:
    """Return the artifact's name of an artifact and a path; a model's name may have slashes, a source's has none."""
    model, _, rest = file.partition("@")
    return f"{model}@{rest.partition('/')[0]}"
