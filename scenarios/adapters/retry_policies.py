"""Retry policies of tenacity, as a user would write them."""

import tenacity

from fedsim.federation.contracts import Timeout

patient = tenacity.Retrying(
    stop=tenacity.stop_after_attempt(4) | tenacity.stop_after_delay(5),
    wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
)
"""Up to three retries in the first five seconds, with full jitter from 0.1 s to 2 s."""

picky = tenacity.Retrying(
    retry=tenacity.retry_if_not_exception_type(Timeout),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_fixed(0.2),
)
"""Two retries, 0.2 s apart, and none after a timeout, which took long enough."""
