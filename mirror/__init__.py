"""minibert-mirror: a mirror of small BERT-family weights that can prove where they came from."""

from __future__ import annotations

TYPE_CHECKING = False  # the same to type checkers, and ``typing`` takes 7 ms in which nobody answers Ctrl-C
if TYPE_CHECKING:
    from mirror.api import Mirror

__version__ = "0.1.0"
__all__ = ["Mirror", "__version__"]


def __getattr__(name: str) -> object:
    """Import ``Mirror`` when it is first asked for: importing the package opens nothing."""
    if name == "Mirror":
        from mirror.api import Mirror

        return Mirror
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
