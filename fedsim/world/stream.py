"""A simulated token stream: an answer that arrives token by token while the node works on it."""

from __future__ import annotations

import math
from collections.abc import Callable

from fedsim.kernel.environment import Environment
from fedsim.kernel.tasks import Cancelled, OneShot
from fedsim.world.nodes.job import Job


class NodeStream:
    """The tokens of one job, at the times at which they reach the gateway.

    The node says when each token leaves it; what it says of the future may change.

    Args:
        env: The environment.
        job: The job, dispatched already.
        on_answer: Is called once when the stream has ended by the node's answer.
        on_give_up: Is called once instead when the reader gave up, with what made it.
    """

    def __init__(
        self,
        env: Environment,
        job: Job,
        on_answer: Callable[[], None],
        on_give_up: Callable[[BaseException], None],
    ) -> None:
        self._env = env
        self._job = job
        self._on_answer = on_answer
        self._on_give_up = on_give_up
        self._delivered = 0
        self._over = self._silenced = False
        self._tokens = max(job.live.output_tokens, 1)

    def raise_if_refused(self) -> None:
        """Raise the error with which the node turned the request away, if it did."""
        if self._job.done and self._job.error is not None:
            self._answered()
            raise self._job.error

    async def next_token(self) -> bytes | None:
        """Return the next token, or None when all have come; raises what became of the node."""
        job = self._job
        while not self._over:
            if job.done and job.error is not None:
                self._answered()
                raise job.error
            if self._delivered == self._tokens and job.done and not self._silenced:
                self._answered()
                break
            due_s = self._due_s()
            if due_s <= self._env.now:
                if job.link is not None and job.link.back.cut:
                    self._silenced = True
                    continue
                self._delivered += 1
                return b"token_%d" % self._delivered
            try:
                await self._until(due_s)
            except BaseException as thrown:
                self._give_up(thrown)
                raise
        return None

    async def cancel(self) -> None:
        """Stop the stream; an abort travels to the node."""
        self._give_up(Cancelled())

    def _answered(self) -> None:
        self._over = True
        self._on_answer()

    def _give_up(self, thrown: BaseException) -> None:
        if not self._over:
            self._over = True
            self._on_give_up(thrown)

    def _due_s(self) -> float:
        """Return when the next token reaches the gateway; infinity while that is open.

        It stays open when the node has failed, or has fallen silent: what was still under way is
        lost with it. A link that is cut when a token is due silences the stream for good.
        """
        job = self._job
        if self._delivered == self._tokens or job.error is not None or job.held or self._silenced:
            return math.inf
        return job.node.token_s(job, self._delivered + 1) + job.back_s

    async def _until(self, due_s: float) -> None:
        """Wait until *due_s*, or until something has become of the job."""
        change = OneShot(self._env)
        self._job.on_change = change.resolve
        if math.isinf(due_s):
            await change
            return
        timer = self._env.call_at(due_s, lambda _: change.resolve())
        try:
            await change
        finally:
            timer.cancel()
            self._job.on_change = None
