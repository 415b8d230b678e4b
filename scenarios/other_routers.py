"""A router in plain asyncio, which would run as it is in a real gateway."""

import asyncio
import random

from fedsim.federation.contracts import NoCapacity, RouteTarget


class Patient:
    """Asks two nodes how long their queues are, as over a network, and takes the shorter one.

    It waits for the answers for 20 ms at most, and takes one of the two at random where they are
    late.
    """

    def __init__(self, context):
        self.catalog, self.health = context.catalog, context.health

    async def route(self, request):
        """Return the node with the shorter queue of two."""
        nodes = await self.catalog.find_by_capability(request.capability)
        if not nodes:
            raise NoCapacity(request.capability)
        asked = random.sample(nodes, min(2, len(nodes)))
        try:
            async with asyncio.timeout(0.020):
                lengths = await asyncio.gather(*[self._queue(node) for node, _ in asked])
        except TimeoutError:
            lengths = [0 for _ in asked]
        _, (node_id, region_id) = min(zip(lengths, asked, strict=True), key=lambda each: each[0])
        return RouteTarget(node_id, region_id)

    async def _queue(self, node_id):
        await asyncio.sleep(random.triangular(0.001, 0.025))
        known = self.health.get_cached_health(node_id)
        return 0 if known is None else known.queue_depth
