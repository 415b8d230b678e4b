"""The presets: whose gateway a federation is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fedsim.federation.builder import FederationBuilder
from fedsim.federation.reference.builder import ReferenceBuilder

PRESETS: Final[Mapping[str, type[FederationBuilder | ReferenceBuilder]]] = {
    "default": FederationBuilder,
    "apr": ReferenceBuilder,
}
"""The builder of each preset's gateways: ``default`` is ours, ``apr`` the reference's."""
