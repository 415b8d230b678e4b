"""A simulated token stream: an answer that arrives token by token while the node works on it."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Generator

from simpy.events import NORMAL

from fedsim.federation.contracts import Timeout
from fedsim.kernel.environment import DEADLINE, Environment, LightEvent
from fedsim.kernel.tasks import Cancelled, Wake
from fedsim.world.nodes.job import StreamedJob


class NodeStream(LightEvent):
    """The tokens of one job, at the times at which they reach the gateway.

    The node says when each token leaves it; what it says of the future may change. The stream is
    its own entry of the queue, for the next thing that it waits for: a token, where tokens are read
    one by one, or the moment at which none has come for too long. Whoever only waits for the end
    (`read_to_end`) costs no entry for a token, and one for that moment only while two tokens may
    come so far apart: while the node computes what it has lost, takes very long steps, or is
    silent.

    Args:
        env: The environment.
        job: The job, dispatched already.
        on_answer: Is called once when the stream has ended by the node's answer.
        on_give_up: Is called once instead when the reader gave up, with what made it.

    Attributes:
        received: Tokens that have come, as far as the reader knows.
    """

    __slots__ = (
        "_due_s",
        "_env",
        "_idle_s",
        "_job",
        "_on_answer",
        "_on_give_up",
        "_over",
        "_resting",
        "_silenced",
        "_since_s",
        "_tokens",
        "_wake",
        "_watchful_s",
        "received",
    )

    def __init__(
        self,
        env: Environment,
        job: StreamedJob,
        on_answer: Callable[[], None],
        on_give_up: Callable[[BaseException], None],
    ) -> None:
        self._env = env
        self._job = job
        self._on_answer = on_answer
        self._on_give_up = on_give_up
        self.received = 0
        self._over = self._silenced = False
        self._tokens = max(job.live.output_tokens, 1)
        self._idle_s = math.inf
        self._resting = False  # the reader only waits for the end
        self._since_s = math.nan
        self._watchful_s = -math.inf
        self._due_s = math.inf
        self._wake: Wake | None = None
        job.on_change = self._look

    def raise_if_refused(self) -> None:
        """Raise the error with which the node turned the request away, if it did."""
        if self._job.done and self._job.error is not None:
            self._answered()
            raise self._job.error

    # Reading

    async def next_token(self) -> bytes | None:
        """Return the next token, or None when all have come; raises what became of the node."""
        job = self._job
        self._resting = False
        while not self._over:
            if job.done and job.error is not None:
                self._answered()
                raise job.error
            if self.received == self._tokens and job.done and not self._silenced:
                self._answered()
                break
            if self._next_s() <= self._env.now:
                if job.link is not None and job.link.back.cut:
                    self._silenced = True
                    continue
                self.received += 1
                return b"token_%d" % self.received
            if self.received:
                job.node.follow(job)
            await self._wait()
        return None

    async def read_to_end(self, idle_s: float) -> int:
        """Wait for the end, and return how many tokens came in this time.

        Raises:
            Timeout: None came for *idle_s* seconds, and the reader has given up.
            FederationError: What became of the node.
        """
        job, before = self._job, self.received
        self._idle_s, self._since_s, self._resting = idle_s, self._env.now, True
        job.node.expect(idle_s)
        if job.link is not None:
            job.link.back.watchers[self._link_changed] = None
        while not self._ends():
            await self._wait()
            if not self._ends() and self._idle_until_s() <= self._env.now:
                self._give_up(TimeoutError())
                raise Timeout(idle_s)
        if not self._over:
            if job.error is None:
                self.received = self._tokens
            else:
                self._count()
            self._answered()
            if job.error is not None:
                raise job.error
        return self.received - before

    def _ends(self) -> bool:
        """Return whether nothing more comes to a reader who waits for the end.

        An answer that comes while the way back is cut has tokens that were due then.
        """
        job = self._job
        cut = job.link is not None and job.link.back.cut
        if job.done and job.error is None and cut and self.received < self._tokens:
            self._silenced = True
        return self._over or (job.done and (job.error is not None or not self._silenced))

    async def cancel(self) -> None:
        """Stop the stream; an abort travels to the node."""
        self._give_up(Cancelled())

    # Its end

    def _answered(self) -> None:
        self._end()
        self._on_answer()

    def _give_up(self, thrown: BaseException) -> None:
        if not self._over:
            self._count()
            self._end()
            self._on_give_up(thrown)

    def _end(self) -> None:
        self._over = True
        self._job.on_change = None  # each holds the other; let go without the collector
        if self._job.link is not None:
            self._job.link.back.watchers.pop(self._link_changed, None)
        if self._wake is not None:
            self._wake.fire()

    # When something is due

    def _arrival_s(self, number: int) -> float:
        """Return when a token reaches the gateway, or would; infinite while that is open."""
        job = self._job
        return job.node.token_s(job, number) + job.back_s

    def _next_s(self) -> float:
        """Return when the next token reaches the gateway; infinity while that is open.

        It stays open when the node has failed, or has fallen silent: what was still under way is
        lost with it. A link that is cut when a token is due silences the stream for good.
        """
        job = self._job
        if self.received == self._tokens or job.error is not None or job.held or self._silenced:
            return math.inf
        return self._arrival_s(self.received + 1)

    def _arrived(self) -> int:
        """Return how many tokens have come by now, if the link was never cut."""
        job, until_s = self._job, self._env.now
        if job.error is not None or job.held:
            until_s = min(until_s, job.ended_s)
        low, high = self.received, self._tokens
        while low < high:
            middle = (low + high + 1) // 2
            if self._arrival_s(middle) <= until_s:
                low = middle
            else:
                high = middle - 1
        return low

    def _count(self) -> None:
        """Record how many tokens have come while the reader did not wait."""
        link = self._job.link
        if self._resting and not self._silenced and not (link is not None and link.back.cut):
            self.received = self._arrived()

    def _idle_until_s(self) -> float:
        """Return when too long has passed without a token; infinity while that cannot be."""
        job = self._job
        cut = job.link is not None and job.link.back.cut
        silent = self._silenced or cut or job.silent or job.error is not None
        now_s = self._env.now
        if silent or job.node.pauses(job, self._idle_s):
            # The gateway sees the pause a leg later, when the node may have gone on already.
            self._watchful_s = now_s + job.back_s + self._idle_s
        if now_s > self._watchful_s:
            return math.inf
        self._count()
        last_s = self._arrival_s(self.received) if self.received else -math.inf
        return max(last_s, self._since_s) + self._idle_s

    def _link_changed(self, cut: bool) -> None:
        """Note that the way back is cut, or whole again, for a reader who waits for the end."""
        if not self._resting or self._silenced:
            return
        if cut:
            self.received = self._arrived()
        elif self._arrived() > self.received:
            self._silenced = True
        self._look()

    # Waiting

    @types.coroutine
    def _wait(self) -> Generator[NodeStream, None, None]:
        """Wait until something is due, or the answer is there; what ends that ends the stream."""
        try:
            yield self
        except BaseException as thrown:
            self._wake = None
            self._give_up(thrown)
            raise
        finally:
            self._due_s, self._wake = math.inf, None
            self._job.disarm()

    def arm(self, wake: Wake) -> None:
        """Resume the reader when something is due."""
        self._wake = wake
        self._job.arm(wake)
        self._look()

    def _look(self) -> None:
        """Find out when the next thing is due, as far as it is known now."""
        if self._wake is None:
            return
        due_s = self._idle_until_s() if self._resting else self._next_s()
        if due_s != self._due_s:
            self._due_s = due_s
            if due_s < math.inf:
                priority = DEADLINE if self._resting else NORMAL
                self._env.push(self, max(due_s, self._env.now), priority)

    def process(self) -> None:
        """Resume the reader, if this still is what it waits for."""
        if self._wake is not None and self._due_s <= self._env.now:
            self._wake.process()
