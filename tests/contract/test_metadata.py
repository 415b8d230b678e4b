"""What a scenario's catalog says of its models."""

from __future__ import annotations

from typing import ClassVar

import fedsim
from fedsim.federation.contracts import Capability, ModelId, ModelMetadata
from tests.contract.plugin_world import scenario, target

ENGINE = {"profile": "llama-3.1-8b/bf16/h100_sxm/tp1"}


class Curious:
    """A router that asks for metadata."""

    found: ClassVar[dict[str, ModelMetadata]] = {}

    def __init__(self, context):
        self._catalog = context.catalog

    async def route(self, request):
        """Ask, and take the first node."""
        for model_id in await self._catalog.list_all():
            self.found[model_id] = await self._catalog.get_metadata(model_id)
        return target()


def pool(**more):
    """Return a pool of one node."""
    return {"region": "here", **more}


def test_profile_and_pool_say_what_is_known(tmp_path):
    """A profile gives name, size and quantization; a catalogued name its size; others nothing.

    Pools with one model in two quantizations leave the quantization open.
    """
    service = {"distribution": "constant", "value": "200ms"}
    half = {"profile": "llama-3.1-8b/fp8/h100_sxm/tp1"}
    pools = {
        "plain": pool(engine=ENGINE),
        "named": pool(engine=ENGINE, model="my-chat"),
        "first": pool(engine=ENGINE, model="both"),
        "second": pool(engine=half, model="both"),
        "timed": pool(service=service, model="llama-3.1-70b"),
        "own": pool(service=service, model="house-9b", capabilities=["embed"]),
    }
    size = {"distribution": "constant", "value": 10}
    changes = {
        "pools": pools | {"chat": pool(service=service)},
        "workload.chat.tokens": {"prompt": size, "output": size},
        "federation.router": Curious,
        "duration": "2s",
    }
    fedsim.simulate(scenario(tmp_path, changes))
    found = Curious.found

    generate = (Capability.GENERATE,)
    name, count = "llama-3.1-8b", 8_000_000_000
    assert found[ModelId(name)] == ModelMetadata(
        ModelId(name), name, "1.0.0", generate, count, "bf16"
    )
    assert found[ModelId("my-chat")] == ModelMetadata(
        ModelId("my-chat"), name, "1.0.0", generate, count, "bf16"
    )
    assert (found[ModelId("both")].parameters, found[ModelId("both")].quantization) == (count, None)
    assert found[ModelId("llama-3.1-70b")].parameters == 70_000_000_000
    own = found[ModelId("house-9b")]
    assert (own.name, own.parameters, own.quantization) == ("house-9b", 0, None)
    assert own.capabilities == (Capability.EMBED,)
