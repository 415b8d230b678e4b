"""The seam: the federation's ``Transport`` over the simulated network to the simulated nodes."""

from __future__ import annotations

import types
from collections.abc import Generator, Mapping
from dataclasses import replace

from fedsim.errors import PlugInError
from fedsim.federation.contracts import (
    FederationError,
    InferenceRequest,
    InferenceResponse,
    NodeHealth,
    NodeId,
    NodeUnreachable,
    RouteTarget,
    TokenStream,
)
from fedsim.kernel.environment import Environment
from fedsim.kernel.tasks import Cancelled, OneShot, SimClock
from fedsim.world.links import Link
from fedsim.world.live import LiveRequest
from fedsim.world.network import Network
from fedsim.world.nodes.base import Node
from fedsim.world.nodes.job import Job, Ledger, StreamedJob
from fedsim.world.observer import WorldObserver
from fedsim.world.stream import NodeStream


class WorldTransport:
    """Carries one gateway's requests to the nodes and their answers back.

    Args:
        env: The environment.
        gateway: Code of the gateway.
        region: Code of its region.
        nodes: All nodes by id.
        live: All requests under way by id.
        network: The network.
        ledger: Keeps account of jobs.
        observer: Notified of attempts.
        abort: Whether nodes are notified when the client no longer waits.
        router_name: Name of the gateway's router, for errors.
        links: The links of the gateway that faults strike at some time, by node; or None.
        connect_timeout_s: Time after which the gateway gives up a node that none of its messages
            reaches, in seconds.
    """

    def __init__(
        self,
        env: Environment,
        gateway: int,
        region: int,
        nodes: Mapping[NodeId, Node],
        live: Mapping[str, LiveRequest],
        network: Network,
        ledger: Ledger,
        observer: WorldObserver,
        abort: bool,
        router_name: str,
        links: Mapping[int, Link] | None,
        connect_timeout_s: float,
    ) -> None:
        self._env = env
        self._clock = SimClock(env)
        self._gateway = gateway
        self._region = region
        self._nodes = nodes
        self._live = live
        self._network = network
        self._ledger = ledger
        self._observer = observer
        self._abort = abort
        self._router_name = router_name
        self._links = links
        self._connect_timeout_s = connect_timeout_s

    @types.coroutine
    def send(
        self, target: RouteTarget, request: InferenceRequest
    ) -> Generator[Job, None, InferenceResponse]:
        """Send *request* and wait for the answer; raises the ``FederationError`` it ended in."""
        sent_s = self._env.now
        job, attempt_row = self._dispatch(target, request)
        try:
            if not job.done:
                yield job
        except BaseException as thrown:
            self._given_up(job, attempt_row, thrown)
            raise
        self._answered(job, attempt_row)
        if job.error is not None:
            raise job.error
        live = job.live
        tokens = live.output_tokens if live.output_tokens >= 0 else None
        return InferenceResponse(b"", job.node.node_id, self._env.now - sent_s, tokens)

    async def open_stream(self, target: RouteTarget, request: InferenceRequest) -> TokenStream:
        """Send *request* and return its stream when word comes back that the node has taken it."""
        job, attempt_row = self._dispatch(target, request, streamed=True)
        assert isinstance(job, StreamedJob)
        stream = NodeStream(
            self._env,
            job,
            on_answer=lambda: self._answered(job, attempt_row),
            on_give_up=lambda thrown: self._given_up(job, attempt_row, thrown),
        )
        try:
            await self._clock.sleep(job.leg_s + job.back_s)
            if job.link and not job.refused and job.link.loses_answer(job.live.key, job.attempt):
                await OneShot(self._env)  # no word comes back, whatever becomes of the job
            if job.refused:
                await job  # the answer is due at this time as well
        except BaseException as thrown:
            self._given_up(job, attempt_row, thrown)
            raise
        stream.raise_if_refused()
        return stream

    async def probe(self, node_id: NodeId) -> NodeHealth:
        """Ask a node for its telemetry; takes a round trip, and fails when the node is down.

        It never returns where the node keeps silent, or its answer is lost on the way.
        """
        node = self._nodes.get(node_id)
        if node is None:
            raise NodeUnreachable(node_id)
        out_s = back_s = self._network.median_leg_s(self._region, node.region)
        link = None if self._links is None else self._links.get(node.code)
        if link is not None:
            if link.out.loses_probe(link.rng):
                await self._clock.sleep(self._connect_timeout_s)
                raise NodeUnreachable(node_id)
            out_s = link.out.probe_leg_s(out_s, link.rng)
        await self._clock.sleep(out_s)
        answer = node.endpoint.answer()
        if answer is None or (link is not None and link.back.loses_probe(link.rng)):
            await OneShot(self._env)
        if link is not None:
            back_s = link.back.probe_leg_s(back_s, link.rng)
        await self._clock.sleep(back_s)
        if isinstance(answer, FederationError):
            raise answer
        assert answer is not None
        return replace(answer, last_check_s=self._env.now)

    def _dispatch(
        self, target: RouteTarget, request: InferenceRequest, *, streamed: bool = False
    ) -> tuple[Job, int]:
        live = self._live.get(request.request_id)
        node = self._nodes.get(target.node_id)
        if live is None or node is None:
            raise self._misuse(target, request, live)
        live.attempts += 1
        live.under_way += 1
        live.node = node.code
        attempt = live.attempts
        leg_s = self._network.leg_s(self._region, node.region, live, attempt)
        kind = StreamedJob if streamed else Job
        job = kind(live, node, attempt, leg_s, self._ledger)
        attempt_row = self._observer.attempt_started(
            request=live.row,
            attempt=attempt,
            gateway=self._gateway,
            node=node.code,
            hedge=live.under_way > 1,
            started_s=self._env.now,
        )
        link = None if self._links is None else self._links.get(node.code)
        if link is None:
            job.dispatch()
        else:
            self._dispatch_over(link, job)
        return job, attempt_row

    def _dispatch_over(self, link: Link, job: Job) -> None:
        """Send a job over a link that faults may strike now."""
        key, attempt = job.live.key, job.attempt
        job.link = link
        if link.loses_request(key, attempt):
            job.fail_to_connect(self._connect_timeout_s)
            return
        if job.streamed:
            job.back_s = link.answer_leg_s(job.back_s, key, attempt)
        job.leg_s = link.request_leg_s(job.leg_s, key, attempt)
        job.dispatch()

    def _misuse(
        self, target: RouteTarget, request: InferenceRequest, live: LiveRequest | None
    ) -> PlugInError:
        if live is None:
            problem = (
                f"a request {request.request_id!r} was sent that never arrived; middleware may "
                "replace a request, but must keep its request_id"
            )
            return PlugInError("middleware", problem, request.request_id, self._env.now)
        known = ", ".join(list(self._nodes)[:5])
        problem = (
            f"route() chose node {target.node_id!r}, which does not exist; the nodes are named "
            f"{known}{', …' if len(self._nodes) > 5 else ''}"
        )
        return PlugInError(self._router_name, problem, request.request_id, self._env.now)

    def _answered(self, job: Job, attempt_row: int) -> None:
        error: FederationError | None = job.error
        now_s = self._env.now
        job.live.under_way -= 1
        if error is not None:
            wait_s, service_s = job.held_s()
            self._observer.attempt_finished(
                attempt_row,
                finished_s=now_s,
                outcome=error.kind,
                queue_wait_s=wait_s,
                service_s=service_s,
            )
            return
        live = job.live
        live.queue_wait_s = wait_s = job.begun_s - job.accepted_s
        live.service_s = service_s = job.ended_s - job.begun_s
        live.network_s = job.leg_s + job.back_s
        live.node = job.node.code
        node = job.node
        if node.knows_first_token:
            first_s = node.first_token_s(job)
            live.ttft_s = first_s + job.back_s - live.arrived_s
            if live.output_tokens > 1:
                live.tpot_s = (job.ended_s - first_s) / (live.output_tokens - 1)
            if node.caches_prompts:
                live.cached_tokens = node.cached_tokens(job)
                live.preemptions = node.preemptions(job)
        self._observer.attempt_finished(
            attempt_row,
            finished_s=now_s,
            outcome="ok",
            queue_wait_s=wait_s,
            service_s=service_s,
        )

    def _given_up(self, job: Job, attempt_row: int, thrown: BaseException) -> None:
        """Report an attempt that no client waits for any more, and again once its node is done."""
        if isinstance(thrown, GeneratorExit):
            return  # the run is over, and what was under way stays unfinished
        job.live.under_way -= 1
        outcome = "cancelled" if isinstance(thrown, Cancelled) else "timeout"
        now_s, observer = self._env.now, self._observer

        def report() -> None:
            wait_s, service_s = job.held_s()
            observer.attempt_finished(
                attempt_row,
                finished_s=now_s,
                outcome=outcome,
                queue_wait_s=wait_s,
                service_s=service_s,
            )

        report()
        job.on_change = report
        job.abandon(self._abort)
