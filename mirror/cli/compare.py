"""``compare``: are the files of all sources the same numbers?"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.cli import complete
from mirror.cli.output import emit, json_option, many, paint, quiet_option, remark, say, table
from mirror.errors import DifferentError, IntegrityError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mirror.cli import Workspace
    from mirror.compare.difference import Difference
    from mirror.compare.index_proof import IndexProof
    from mirror.crosscheck import Compared, Crosscheck, Weighed

_COLOURS = {"identical": "green", "encoder-identical": "green", "within tolerance": "yellow", "different": "red"}
_UNREADABLE = "unreadable"
#: Tensors without a cause in common that are told one by one.
_SHOWN = 3
#: Steps of float32 up to which their number says more than the difference itself.
_FEW_STEPS = 1 << 16


def parse_tolerance(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Return a tolerance that can be one."""
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"{value} is no tolerance; write a number above 0, such as 1e-4")
    return value


@click.command()
@click.argument("names", metavar="[SELECTOR]... | FILE", nargs=-1, shell_complete=complete.selectors)
@click.option(
    "--tolerance",
    type=float,
    callback=parse_tolerance,
    metavar="X",
    help="Let differences of two elements up to X pass. A weaker verdict, and labelled so.",
)
@click.option(
    "--index",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="INDEX",
    help="Compare FILE with the CRC-32C of every tensor in a TensorFlow index, whose data need not be here.",
)
@json_option
@quiet_option
@click.pass_obj
def compare(
    workspace: Workspace,
    names: tuple[str, ...],
    *,
    tolerance: float | None,
    index: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare the held weights of each model with each other, tensor by tensor.

    The reference is Google's TensorFlow checkpoint, else the official file on the hub,
    else the first. Verdicts are: identical; encoder identical, and which heads differ or are
    absent; within tolerance; different, with the largest difference and the cause where it
    shows. What was loaded before is not read again, as long as size and times of the file
    say that nobody has written it since; a file that is not any more what was recorded is
    named and left out. Opens no socket. Ends with 4 when something is different, refused or
    not what was recorded, else with 6 when something cannot be read, else with 0.

    With --index no mirror is asked; a CRC finds accidents, not forgers, so what it proves
    counts as checked. A file that lacks tensors of the encoder is incomplete, and ends with
    4 too; pooler and heads may be absent.

    \b
    minibert-mirror compare bert-tiny
    minibert-mirror compare bert-small --tolerance 1e-4
    minibert-mirror compare                             every model
    minibert-mirror compare model.safetensors --index bert_model.ckpt.index
    """
    if index is not None:
        if tolerance is not None or len(names) != 1 or not Path(names[0]).is_file():
            raise UsageError(f"--index wants one FILE to compare with it, and no --tolerance: {' '.join(names)}")
        if not index.is_file():
            raise UsageError(f"{index} is no file, but a device or a pipe")
        _by_index(Path(names[0]), index, as_json=as_json)
        return
    report = _Report(as_json=as_json)
    for found in workspace.mirror.compare(*names, tolerance=tolerance):
        report.tell(found)
    if not report.models:
        named = f" of {' '.join(names)}" if names else ""
        raise UsageError(f"no weights{named} are held", hint=f"minibert-mirror pull {' '.join(names) or '--all'}")
    remark(f"{many(report.models, 'model')}, {many(report.files, 'weight file')}", quiet=quiet or as_json)
    report.end()


class _Report:
    """Prints what models' files are to each other, and counts them."""

    def __init__(self, *, as_json: bool) -> None:
        self.models = self.files = self.different = self.lost = self.unreadable = 0
        self._as_json = as_json

    def tell(self, found: Crosscheck) -> None:
        """Tell of one model."""
        self.models += 1
        self.lost += sum(one.file.lost not in {"", _UNREADABLE} for one in found.others)
        self.unreadable += sum(one.file.lost == _UNREADABLE for one in found.others)
        self.files += sum(not one.file.lost for one in found.others) + (found.reference is not None)
        self.different += sum(one.differs for one in found.others)
        if self._as_json:
            if found.reference is not None:
                emit({**_named(found, found.reference), "relation": "reference"})
            for one in found.others:
                emit({**_named(found, one.file), **_judged(one)})
            return
        alone = ", and nothing to compare it with" if not found.others else ""
        rows = [(found.reference.name, found.reference.format or "?", f"reference{alone}")] if found.reference else []
        rows += [(one.file.name, one.file.format or "?", _verdict(one)) for one in found.others]
        table((found.model, "format", "verdict"), rows)
        for one in found.others:
            for number, line in enumerate(_details(one)):
                if number == 0:
                    say(f"  {one.file.name}")
                say(f"      {line}")
        say()

    def end(self) -> None:
        """Raise the gravest of what was told.

        Raises:
            DifferentError: Files differ from the reference.
            IntegrityError: Files are not any more what was recorded.
            StoreError: Files cannot be read.
        """
        lost = f"{many(self.lost, 'file')} {'is' if self.lost == 1 else 'are'} not any more what was recorded"
        if self.different:
            verb = "differs" if self.different == 1 else "differ"
            said = f"{self.different} of {many(self.files, 'weight file')} {verb} from the reference"
            raise DifferentError(f"{said}; {lost}" if self.lost else said)
        if self.lost:
            raise IntegrityError(lost, hint="`minibert-mirror verify` says where, `minibert-mirror repair` mends it")
        if self.unreadable:
            raise StoreError(f"{many(self.unreadable, 'file')} cannot be read")


def _verdict(one: Compared) -> str:
    if one.file.lost:
        return paint(one.file.problem, fg="red")
    if one.verdict is None:
        return paint(f"not read: {one.file.problem}", fg="red")
    return paint(str(one.verdict), fg=_COLOURS[one.verdict.relation.value])


def _details(one: Compared) -> Iterable[str]:
    """Yield in what a file differs: tensors of one cause together, the others each, the furthest off first."""
    if one.whose:
        more = f" and {len(one.whose) - 1} more" if one.whose[1:] else ""
        yield f"its encoder is, bit by bit, that of {one.whose[0]}{more}"
    by_cause: dict[str, list[Difference]] = {}
    for each in one.differences:
        by_cause.setdefault(each.cause, []).append(each)
    alone = by_cause.pop("", [])
    for cause, group in by_cause.items():
        if len(group) == 1:
            alone += group
        else:
            yield f"{len(group)} tensors: {_measured(group)}; {cause}"
    alone.sort(key=lambda each: -_off(each))
    for each in alone[:_SHOWN]:
        yield f"{each.name}: {_measured([each])}" + (f"; {each.cause}" if each.cause else "")
    if alone[_SHOWN:]:
        yield f"and {many(len(alone) - _SHOWN, 'tensor')} more: {_measured(alone[_SHOWN:])}"
    for names, said in ((one.absent, "absent"), (one.extra, "only here")):
        if names:
            yield f"{many(len(names), 'tensor')} {said}: {', '.join(names[:2])}{' …' if names[2:] else ''}"


def _off(one: Difference) -> float:
    return float("inf") if one.largest is None else one.largest


def _measured(group: list[Difference]) -> str:
    """Return by how much tensors differ together."""
    comparable = [one for one in group if one.largest is not None]
    if not comparable:
        return "not of the same shape"
    largest = max(one.largest or 0.0 for one in comparable)
    ulps = [one.ulps for one in comparable if one.ulps is not None]
    apart = f" ({max(ulps)} ULP)" if 0 < max(ulps, default=0) <= _FEW_STEPS else ""
    differing, total = sum(one.differing for one in comparable), sum(one.total for one in comparable)
    return f"max |Δ| {largest:.3g}{apart}, {differing} of {total} elements"


def _named(found: Crosscheck, file: Weighed) -> dict[str, object]:
    return {
        "model": found.model,
        "weights": file.name,
        "sha256": file.blob,
        "format": file.format,
        "reference": found.reference.name if found.reference is not None else None,
    }


def _judged(one: Compared) -> dict[str, object]:
    if one.verdict is None:
        return {"relation": None, "problem": one.file.problem, "lost": one.file.lost or None}
    return {
        "relation": one.verdict.relation.value,
        "verdict": str(one.verdict),
        "parts": {group: part.value for group, part in one.verdict.parts.items()},
        "tolerance": one.verdict.tolerance,
        "differences": [{**each._asdict(), "largest": _number(each.largest)} for each in one.differences],
        "absent": list(one.absent),
        "extra": list(one.extra),
        "whose": list(one.whose),
    }


def _number(value: float | None) -> float | str | None:
    # JSON has no word for the infinite.
    return str(value) if value == float("inf") else value


def _by_index(file: Path, index: Path, *, as_json: bool) -> None:
    """Tell what an index proves of a file's tensors."""
    from mirror.compare.index_proof import Faith
    from mirror.crosscheck.by_index import against_index

    refuted: list[str] = []
    lacking: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, proof in against_index(file, index, Path(scratch)):
            refuted += [each.name for each in proof.refuted]
            lacking += (proof.lacking or proof.missing) if proof.verdict is Faith.INCOMPLETE else ()
            if as_json:
                level = "checked" if proof.holds else None
                emit({"weights": name, "level": level, "verdict": proof.verdict.value, **_proof(proof)})
            else:
                _print_proof(name, proof)
    for names, said in ((refuted, "the index refutes"), (lacking, "the file lacks")):
        if names:
            more = f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else ""
            raise DifferentError(
                f"{said} {', '.join(names[:_SHOWN])}{more}",
                hint="the file is no faithful conversion of that checkpoint, or the index is another model's",
            )


def _proof(proof: IndexProof) -> dict[str, object]:
    return {**proof._asdict(), "refuted": [one._asdict() for one in proof.refuted]}


def _print_proof(name: str, proof: IndexProof) -> None:
    total = len(proof.proved) + len(proof.refuted) + len(proof.missing)
    word = paint(proof.verdict.value, fg="cyan" if proof.holds else "red")
    say(f"{word}  {name}: {len(proof.proved)} of the index's {total} tensors have its CRC-32C")
    for one in proof.refuted[:_SHOWN]:
        say(f"  {one.name}: {one.why}")
    if proof.refuted[_SHOWN:]:
        say(f"  and {len(proof.refuted) - _SHOWN} more")
    for names, said in ((proof.missing, "not in the file"), (proof.uncovered, "not in the index, so nothing is known")):
        if names:
            say(f"  {said}: {', '.join(names[:_SHOWN])}{' …' if names[_SHOWN:] else ''}")
