"""Routing logic for the production stack's interface, as a user would write it."""

import hashlib


class RoundRobin:
    """Each engine in turn."""

    def __init__(self):
        self.turn = 0

    def route_request(self, endpoints, engine_stats, request_stats, request):
        """Return the url of the next engine."""
        self.turn += 1
        return sorted(endpoint.url for endpoint in endpoints)[self.turn % len(endpoints)]


class LeastLoad:
    """The engine with the fewest requests, by its own word and by what was sent there since."""

    def route_request(self, endpoints, engine_stats, request_stats, request):
        """Return the url of the least loaded engine; of equal ones the first."""

        def load(url):
            said = engine_stats[url].num_running_requests + engine_stats[url].num_queuing_requests
            sent = request_stats.get(url)
            under_way = sent.in_prefill_requests + sent.in_decoding_requests if sent else 0
            return max(said, under_way)

        return min((endpoint.url for endpoint in endpoints), key=load)


class Session:
    """A tenant stays with its engine, by rendezvous hashing; without one the prompt decides."""

    def __init__(self, session_key):
        self.session_key = session_key

    async def route_request(self, endpoints, engine_stats, request_stats, request, request_json):
        """Return the url of the session's engine."""
        session = request.headers.get(self.session_key) or request_json["prompt"][:400]

        def weight(url):
            return hashlib.blake2b(f"{session} {url}".encode(), digest_size=8).digest()

        return max((endpoint.url for endpoint in endpoints), key=weight)
