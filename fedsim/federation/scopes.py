"""What a gateway keeps for each scope: for the requests or the nodes that may be compared.

What is decided before a request is routed goes by its capability, as all that is known of where
it will go; what is learnt from the node that it went to goes by that node's pool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Scoped(dict[K, V]):
    """A value for each scope, made when it is first asked for by ``scoped[scope]``.

    Args:
        make: Makes the value of a scope.
    """

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, scope: K) -> V:
        """Make the value, and keep it."""
        value = self[scope] = self._make(scope)
        return value
