"""A scenario that runs in some hundredths of a second, for tests of what stands above a run."""

from __future__ import annotations

from pathlib import Path

TEXT = """\
name: small
seed: 3
duration: 40s
warmup: 5s
regions:
  east: {privacy: restricted}
  west: {}
network: {between: {east/west: 60ms}}
pools:
  east-chat: {region: east, count: 2, slots: 3, queue_limit: 4, cost: 2 USD/h,
              service: {distribution: lognormal, median: 400ms, p99: 2s}}
  west-chat: {region: west, count: 2, slots: 3, queue_limit: 4, cost: 2 USD/h,
              service: {distribution: lognormal, median: 400ms, p99: 2s}}
workload:
  chat: {origins: {east: 0.5, west: 0.5}, arrivals: {process: poisson, rate: 12/s},
         qos: {max_latency: 2s}}
faults:
  - {kind: outage, node: east-chat-0, at: 15s, lasts: 10s}
slo: {latency_p99: 5s, success_rate: 50%}
compare: {strategies: [round_robin, least_connections], replications: 3}
"""

ROUTERS = '''\
import asyncio

from fedsim.federation.contracts import RouteTarget


class FirstNode:
    """Sends everything to the first ready node, after some thought."""

    def __init__(self, context):
        self.catalog = context.catalog

    async def route(self, request):
        await asyncio.sleep(0.001)
        node, region = (await self.catalog.find_by_capability(request.capability))[0]
        return RouteTarget(node, region)


class Raises:
    """Breaks at the tenth request."""

    def __init__(self, context):
        self.router, self.requests = FirstNode(context), 0

    async def route(self, request):
        self.requests += 1
        if self.requests == 10:
            raise KeyError("the tenth request")
        return await self.router.route(request)
'''


def write(folder: Path, text: str = TEXT) -> Path:
    """Write a scenario into *folder*, and return its path."""
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def write_routers(folder: Path, module: str) -> None:
    """Write a module with the routers ``FirstNode`` and ``Raises`` into *folder*.

    A process imports a module of one name but once, so every test file has a name of its own.
    """
    (folder / f"{module}.py").write_text(ROUTERS, encoding="utf-8")
