"""Every fault by name: how a request, a file or an answer is spoiled.

A fault is a function with keyword parameters; their defaults say which JSON values they
take. It works on the request (before the range rules), on the file (before its headers
are made) or on the finished answer, which also says how bytes leave the socket.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mirror.upstream.conditions import Entity, serve
from mirror.upstream.content import Content
from mirror.upstream.http import Answer, Request

if TYPE_CHECKING:
    from mirror.upstream.host import Place

Maker = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """What an answer's fault may want to know: the request, the file, the neighbours."""

    request: Request
    entity: Entity | None
    place: Place


@dataclass(frozen=True, slots=True)
class Effect:
    """One fault with its parameters, ready to strike."""

    name: str
    stage: str
    make: Maker
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *subject: Any) -> Any:
        """Return ``subject``, a request, an entity or an answer and its scene, spoiled."""
        return self.make(*subject, **self.parameters)


@dataclass(frozen=True, slots=True)
class Known:
    """A fault as it is registered; ``choices`` are the words that a parameter may be."""

    stage: str
    make: Maker
    choices: Mapping[str, tuple[str, ...]]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters with their defaults."""
        found = inspect.signature(self.make).parameters
        return {name: one.default for name, one in found.items() if one.kind is inspect.Parameter.KEYWORD_ONLY}


FAULTS: dict[str, Known] = {}


def fault(stage: str, **choices: tuple[str, ...]) -> Callable[[Maker], Maker]:
    """Register a fault under its function's name; ``stage`` is request, entity or answer."""

    def register(make: Maker) -> Maker:
        FAULTS[make.__name__] = Known(stage, make, choices)
        return make

    return register


def effect(name: object, given: Mapping[str, Any]) -> Effect:
    """Return the fault ``name`` with parameters ``given``; ValueError when there is no such thing."""
    if not isinstance(name, str) or name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; there are {', '.join(sorted(FAULTS))}")
    known = FAULTS[name]
    defaults = known.parameters
    for key, value in given.items():
        if key not in defaults:
            raise ValueError(f"fault {name} has no parameter {key!r}; it has {', '.join(defaults) or 'none'}")
        if not _same_kind(value, defaults[key]):
            raise ValueError(f"fault {name}: {key} is like {defaults[key]!r}, not {value!r}")
        if key in known.choices and value not in known.choices[key]:
            raise ValueError(f"fault {name}: {key} is {', '.join(known.choices[key])}, not {value!r}")
    return Effect(name, known.stage, known.make, {**defaults, **given})


def _same_kind(value: object, default: object) -> bool:
    """Whether ``value`` may stand where ``default`` does; a bool is no number."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float) and value >= 0 and (isinstance(default, float) or isinstance(value, int))
    return isinstance(value, type(default))


def spoil(effects: list[Effect], request: Request, reply: Entity | Answer, place: Place) -> Answer:
    """Return the answer to ``request`` once every fault has had its turn."""
    asked, entity = request, reply if isinstance(reply, Entity) else None
    for one in effects:
        if one.stage == "request":
            asked = one(asked)
        elif one.stage == "entity" and entity is not None:
            entity = one(entity)
    answer = serve(entity, asked) if entity is not None else reply
    if not isinstance(answer, Answer):
        raise TypeError("a reply that is no file is an answer")
    scene = Scene(request, entity, place)
    for one in effects:
        if one.stage == "answer":
            answer = one(answer, scene)
    return answer


@fault("answer")
def sound(answer: Answer, scene: Scene) -> Answer:
    """Nothing is wrong this time."""
    return answer


@fault("request")
def ignore_range(request: Request) -> Request:
    """The whole file comes with 200 although a range was asked for."""
    return request.without("range", "if-range")


@fault("entity")
def flip_bit(entity: Entity, *, offset: int = 0, bit: int = 0) -> Entity:
    """One bit of the file is flipped; every header is the sound file's."""

    def flipped() -> bytes:
        data = bytearray(entity.content.data)
        data[offset % len(data)] ^= 1 << bit % 8
        return bytes(data)

    return replace(entity, spoiled=Content(flipped))


@fault("entity")
def zeros(entity: Entity) -> Entity:
    """The right number of bytes, all zero: a disk that lost its data."""
    return replace(entity, spoiled=Content(lambda: bytes(entity.content.size)))


@fault("entity")
def etag_change(entity: Entity) -> Entity:
    """The file has changed: other bytes of the same length, and headers that say so."""
    return replace(entity, content=_other(entity))


@fault("entity")
def etag_change_mid(entity: Entity) -> Entity:
    """The file changes while it is being answered: headers of the old, bytes of the new."""
    return replace(entity, spoiled=entity.content.variant())


@fault("entity")
def other_revision(entity: Entity) -> Entity:
    """A stale cache on the way: bytes of another revision under this one's headers."""
    return replace(entity, spoiled=_other(entity))


def _other(entity: Entity) -> Content:
    """Return the file's content at another revision, or other bytes where it has none."""
    return entity.others[0] if entity.others else entity.content.variant()
