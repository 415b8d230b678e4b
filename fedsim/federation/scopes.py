"""What a gateway keeps for each scope: for the requests or the nodes that may be compared.

What is decided before a request is routed goes by its capability, and by its model where it names
one, as all that is known of where it will go; what is learned from the node that it went to goes by
that node's pool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from fedsim.federation.contracts import Capability, InferenceRequest

K = TypeVar("K")
V = TypeVar("V")


class ModelScope(NamedTuple):
    """The requests that ask for a capability of one model."""

    capability: Capability
    model: str

    @property
    def key(self) -> str:
        """Its name, such as ``generate (llama-3.1-70b)``."""
        return f"{self.capability.key} ({self.model})"

    def __str__(self) -> str:
        return self.key


Scope: TypeAlias = Capability | ModelScope
"""The requests that the same nodes may serve, but for quality of service."""


def scope_of(request: InferenceRequest) -> Scope:
    """Return the scope of a request: its capability alone where it names no model."""
    if request.model is None:
        return request.capability
    return ModelScope(request.capability, request.model)


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
