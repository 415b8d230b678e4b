"""A guard around another project's retry policy."""

from __future__ import annotations

from fedsim.federation.contracts import FederationError, InferenceRequest
from fedsim.world.plugins import Guard


class RetryGuard(Guard):
    """Runs a foreign policy as the gateway's ``RetryPolicy``."""

    def next_wait_s(
        self, request: InferenceRequest, retry: int, error: FederationError, elapsed_s: float
    ) -> float | None:
        """Return the wait in seconds, which must be a number of 0 or more, or None."""
        wait_s = self._call("next_wait_s", request, request, retry, error, elapsed_s)
        if wait_s is None:
            return None
        number = self._number("next_wait_s", wait_s, request)
        if number < 0.0:
            problem = f"next_wait_s() returned {wait_s!r}; a wait is 0 or more"
            raise self._error(problem, request)
        return number
