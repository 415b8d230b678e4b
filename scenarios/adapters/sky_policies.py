"""Load balancing policies for SkyPilot's interface, as a user would write them."""

import random


class RoundRobin:
    """Each replica in turn, in an order that is shuffled when the replicas change."""

    def __init__(self):
        self.ready, self.turn = [], 0

    def set_ready_replicas(self, ready_replicas):
        """Record the replicas that may serve."""
        random.shuffle(ready_replicas)
        self.ready, self.turn = ready_replicas, 0

    def select_replica(self, request):
        """Return the next replica."""
        self.turn += 1
        return self.ready[self.turn % len(self.ready)] if self.ready else None


class LeastLoad:
    """The replica with the fewest requests under way from here; of equal ones the first."""

    def __init__(self):
        self.load = {}

    def set_ready_replicas(self, ready_replicas):
        """Record the replicas that may serve."""
        self.ready = ready_replicas

    def _select_replica(self, request):
        return min(self.ready, key=lambda replica: self.load.get(replica, 0), default=None)

    def pre_execute_hook(self, replica_url, request):
        """Count a request that is sent."""
        self.load[replica_url] = self.load.get(replica_url, 0) + 1

    def post_execute_hook(self, replica_url, request):
        """Uncount a request that has ended."""
        self.load[replica_url] -= 1
