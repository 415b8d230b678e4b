"""Four routers, each with a defect that a router in use has had; none raises an error.

They choose among the nodes that are not unhealthy, and know the requests that they sent.
"""

from fedsim.federation.contracts import HealthState, NoCapacity, RouteTarget


class _Router:
    def __init__(self, context):
        self.context = context
        self.in_flight = {}

    async def route(self, request):
        """Choose among the nodes that are not unhealthy."""
        nodes = await self.context.catalog.find_by_capability(request.capability)
        well = [node for node in nodes if self._is_well(node[0])]
        if not well:
            raise NoCapacity(request.capability)
        return RouteTarget(*self._choose(well, request))

    def on_start(self, target, request):
        """Count a request."""
        self.in_flight[target.node_id] = self.in_flight.get(target.node_id, 0) + 1

    def on_complete(self, target, request, outcome, latency_s):
        """Uncount a request."""
        self.in_flight[target.node_id] -= 1

    def _is_well(self, node_id):
        health = self.context.health.get_cached_health(node_id)
        return health.status is not HealthState.UNHEALTHY


class ZeroLoads(_Router):
    """Counts loads under one name and looks them up under another: all look idle for ever."""

    def _choose(self, nodes, request):
        return min(nodes, key=lambda node: self.in_flight.get(f"{node[0]}/load", 0))


class FirstOnTies(_Router):
    """Takes the least busy node, and of several the one that the list names first."""

    def _choose(self, nodes, request):
        return min(nodes, key=lambda node: self.in_flight.get(node[0], 0))


class NeverRebalances(_Router):
    """Gives a tenant the node with the fewest tenants, and never another while that one lives."""

    def __init__(self, context):
        super().__init__(context)
        self.homes = {}

    def _choose(self, nodes, request):
        home = self.homes.get(request.tenant_id)
        if home not in nodes:
            tenants = list(self.homes.values())
            home = self.homes[request.tenant_id] = min(nodes, key=tenants.count)
        return home


class StaleRates(_Router):
    """Rates nodes by their smoothed latency, which only a node's own traffic ever renews."""

    def __init__(self, context):
        super().__init__(context)
        self.latency_s = {}

    def _choose(self, nodes, request):
        return min(nodes, key=self._cost)

    def on_complete(self, target, request, outcome, latency_s):
        """Learn how long a request took."""
        super().on_complete(target, request, outcome, latency_s)
        before_s = self.latency_s.get(target.node_id, latency_s)
        self.latency_s[target.node_id] = 0.7 * before_s + 0.3 * latency_s

    def _cost(self, node):
        return self.latency_s.get(node[0], 0.0) * (1 + self.in_flight.get(node[0], 0))
