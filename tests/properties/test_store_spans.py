from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirror.store import spans
from mirror.store.spans import Span


@st.composite
def any_span(draw: st.DrawFn, most: int = 300) -> Span:
    start, stop = sorted((draw(st.integers(0, most)), draw(st.integers(0, most))))
    done = draw(st.integers(0, stop - start))
    return Span(start, draw(st.sampled_from([stop, None])), done)


@given(st.lists(any_span()))
def test_spans_survive_their_binary_form(there: list[Span]) -> None:
    assert spans.decode(spans.encode(there), held=300) == there


@given(st.lists(any_span()), st.integers(0, 23), st.integers(0, 300))
def test_what_is_cut_off_is_not_there(there: list[Span], torn: int, held: int) -> None:
    for span, was in zip(spans.decode(spans.encode(there) + b"\1" * torn, held=held), there, strict=True):
        assert (span.start, span.stop) == (was.start, was.stop)
        assert span.done <= was.done
        assert span.done == 0 or span.next <= held


@given(st.binary(max_size=200), st.integers(0, 2**40))
def test_any_bytes_are_spans_or_none(raw: bytes, held: int) -> None:
    for span in spans.decode(raw, held=held):
        assert span.done == 0 or span.next <= held
        assert span.stop is None or span.next <= span.stop


@given(st.lists(any_span()))
def test_the_prefix_ends_before_the_first_byte_that_is_missing(there: list[Span]) -> None:
    held = {at for span in there for at in range(span.start, span.next)}
    assert spans.prefix(there) == next(at for at in range(302) if at not in held)


@given(any_span(), st.integers(0, 300))
def test_fields_change_what_they_name(span: Span, value: int) -> None:
    for field, pick in ((spans.stop_field, 1), (spans.done_field, 2)):
        raw = bytearray(spans.encode([span, span, span]))
        new, at = field(1, value)
        raw[at : at + len(new)] = new
        numbers = [int.from_bytes(raw[i : i + 8], "little") for i in range(0, len(raw), 8)]
        assert numbers[3 + pick] == value
        assert raw[:24] == raw[48:] == spans.encode([span])
