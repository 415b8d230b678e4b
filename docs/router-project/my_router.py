"""A router: the less busy of two nodes that are drawn at random."""

from fedsim.federation.contracts import HealthState, NoCapacity, RouteTarget


class TwoChoices:
    """Draws two nodes, and takes the one with fewer of this gateway's requests in flight."""

    def __init__(self, context):
        self.context = context
        self.in_flight = {}

    async def route(self, request):
        """Return the node that shall serve a request."""
        return await self.route_excluding(request, ())

    async def route_excluding(self, request, excluded):
        """Return a node that was not tried, where there is one."""
        nodes = await self.context.catalog.find_by_capability(request.capability)
        well = [node for node in nodes if self.is_well(node[0])]
        left = [node for node in well if node[0] not in excluded] or well
        if not left:
            raise NoCapacity(request.capability)
        drawn = self.context.rng.sample(left, min(2, len(left)))
        return RouteTarget(*min(drawn, key=lambda node: self.in_flight.get(node[0], 0)))

    def is_well(self, node_id):
        """Return whether neither health checks nor the circuit breaker take a node out."""
        known = self.context.health.get_cached_health(node_id)
        if known is not None and known.status is HealthState.UNHEALTHY:
            return False
        return self.context.breaker is None or not self.context.breaker.is_open(node_id)

    def on_start(self, target, request):
        """Count a request that is about to be sent."""
        self.in_flight[target.node_id] = self.in_flight.get(target.node_id, 0) + 1

    def on_complete(self, target, request, outcome, latency_s):
        """Uncount a request that has ended, in whatever way."""
        self.in_flight[target.node_id] -= 1
