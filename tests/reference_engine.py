"""A naive engine, step by step and token by token, to which the fast one must be equal.

It is written for obviousness: plain lists, and every sum and count is made anew in every step. It
shares no code with ``fedsim.world.engine`` but for the settings and their step times. What arrives
at the instant at which a step begins is planned into it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fedsim.world.engine.config import EngineConfig

Key = tuple[object, ...]
"""What a piece of the cache is known by: size and hash of a block, or the request that it is of."""


@dataclass(eq=False)
class Request:
    """A request, what it asks for, and what became of it."""

    name: int
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()
    block_tokens: int = 0
    priority: int = 0

    begun_s: float = math.nan
    token_times_s: list[float] = field(default_factory=list)
    finished_s: float = math.nan
    cached_tokens: int = 0
    preemptions: int = 0
    over: bool = False

    computed: int = 0
    """Tokens that are in the cache, or will be at the end of the step in flight."""
    to_prefill: int = 0
    """Tokens that have to be in the cache before it makes its next token by decoding."""
    own_blocks: int = 0
    """Blocks of the cache that only it uses."""
    shared: dict[Key, int] = field(default_factory=dict)
    """How many blocks it has of each piece that it uses, in the order of its tokens."""
    offered: int = 0
    """Blocks of the cache up to which others were let know, or knew, what it has."""
    private: Key | None = None
    """The piece that it left of what only itself knows, when it was last preempted."""
    step_tokens: int = 0
    """Tokens that the step in flight computes for it."""
    place: tuple[int, int] = (0, 0)


class ReferenceEngine:
    """An engine that goes through every step; times are absolute seconds."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.running: list[Request] = []
        self.waiting: list[Request] = []
        self.finished: list[Request] = []
        self.cached: dict[Key, int] = {}
        self.unused: list[Key] = []
        self.factor = 1.0
        self.plan_due_s = math.inf
        self.step_began_s = self.step_ends_s = math.inf
        self.busy_s = 0.0
        self.tokens_out = 0
        self.arrivals = 0
        self.returns = 0
        self.evictions = 0

    # What happens to it

    def advance(self, now_s: float) -> None:
        """Go through all steps that end at *now_s* or before."""
        self.go_before(now_s)
        while self.step_ends_s <= now_s:
            self.end_step()

    def submit(self, request: Request, now_s: float) -> None:
        """Let a request wait."""
        self.go_before(now_s)
        self.arrivals += 1
        request.place = (0, self.arrivals)
        self.waiting.append(request)
        self.sort_waiting()
        if self.step_ends_s == math.inf:
            self.plan_due_s = now_s

    def abort(self, request: Request, now_s: float) -> None:
        """Take a request out, with all that it holds."""
        self.go_before(now_s)
        if request.over:
            return
        request.over = True
        if request in self.waiting:
            self.waiting.remove(request)
        else:
            self.running.remove(request)
            self.release(request)

    def set_factor(self, factor: float, now_s: float) -> None:
        """Let all steps that are planned from now on take *factor* times as long."""
        self.go_before(now_s)
        self.factor = factor

    def clear(self, now_s: float) -> list[Request]:
        """Lose everything."""
        self.go_before(now_s)
        lost = self.running + self.waiting
        for request in lost:
            request.over = True
        if self.step_ends_s < math.inf:
            self.busy_s += now_s - self.step_began_s
        self.running, self.waiting, self.cached, self.unused = [], [], {}, []
        self.step_ends_s = self.plan_due_s = math.inf
        return lost

    def go_before(self, now_s: float) -> None:
        """Go through all steps that begin or end before *now_s*."""
        while min(self.plan_due_s, self.step_ends_s) < now_s:
            if self.plan_due_s < now_s:
                self.plan(self.plan_due_s)
            else:
                self.end_step()

    def busy_until_s(self, now_s: float) -> float:
        """Return the time in steps up to *now_s*."""
        in_flight_s = now_s - self.step_began_s if self.step_ends_s < math.inf else 0.0
        return self.busy_s + in_flight_s

    # Steps

    def end_step(self) -> None:
        """Hand out the tokens that the step in flight has made, and plan the next step."""
        now_s = self.step_ends_s
        self.busy_s += now_s - self.step_began_s
        for request in list(self.running):
            if request.computed < request.to_prefill:
                continue
            request.token_times_s.append(now_s)
            self.tokens_out += 1
            if len(request.token_times_s) >= request.output_tokens:
                request.finished_s = now_s
                request.over = True
                self.running.remove(request)
                self.release(request)
                self.finished.append(request)
        self.plan_due_s, self.step_ends_s = now_s, math.inf

    def plan(self, now_s: float) -> None:
        """Plan the step that begins now, or rest."""
        self.plan_due_s = math.inf
        self.step_began_s = now_s
        for request in self.running:
            request.step_tokens = 0
        budget, preempted = self.plan_running()
        if not preempted or not self.running:
            self.admit(budget, now_s)
        assert self.running or not self.waiting
        self.step_ends_s = now_s + self.factor * self.step_s() if self.running else math.inf

    def plan_running(self) -> tuple[int, bool]:
        """Plan one token, or the next part of a prompt, for each that runs."""
        preempted = False
        for request in list(self.running):
            if request not in self.running:
                continue
            if request.computed >= request.to_prefill:
                tokens = 1
            else:
                tokens = min(request.to_prefill - request.computed, self.budget_left())
            needed = self.blocks_for(request.computed + tokens) - self.blocks_of(request)
            while needed > self.available() and request in self.running:
                self.preempt(self.victim())
                preempted = True
            if request in self.running:
                self.allocate(request, needed)
                request.step_tokens = tokens
                self.cache_prompt(request)
        return self.budget_left(), preempted

    def budget_left(self) -> int:
        """Count the tokens that the step may still compute; each that decodes has one kept."""
        decoding = [each for each in self.running if each.computed >= each.to_prefill]
        prefilling = [each for each in self.running if each.computed < each.to_prefill]
        planned = len(decoding) + sum(each.step_tokens for each in prefilling)
        return self.config.token_budget - planned

    def admit(self, budget: int, now_s: float) -> None:
        """Admit waiting requests in order, until one finds no room."""
        while self.waiting and len(self.running) < self.config.max_batch and budget > 0:
            request = self.waiting[0]
            request.to_prefill = request.prompt_tokens + len(request.token_times_s)
            hit = self.hit(request)
            hit_blocks = sum(self.cached[each] for each in hit)
            hit_tokens = hit_blocks * self.config.block_tokens
            rest = request.to_prefill - hit_tokens
            fits_a_step = rest <= self.config.token_budget
            if rest > budget and fits_a_step and not self.config.chunked_prefill:
                return
            tokens = min(rest, budget)
            needed = self.blocks_for(hit_tokens + tokens) - hit_blocks
            whole = self.blocks_for(request.to_prefill) - hit_blocks
            room = self.available() - sum(self.cached[each] for each in hit if each in self.unused)
            if (whole if self.config.admit == "whole" else needed) > room:
                return
            self.waiting.pop(0)
            self.running.append(request)
            if math.isnan(request.begun_s):
                request.begun_s = now_s
                request.cached_tokens = hit_tokens
            for each in hit:
                if each in self.unused:
                    self.unused.remove(each)
            request.shared = {each: self.cached[each] for each in hit}
            request.offered = hit_blocks
            request.computed = hit_tokens
            self.allocate(request, needed)
            request.step_tokens = tokens
            self.cache_prompt(request)
            budget -= tokens

    def step_s(self) -> float:
        """Return how long the planned step takes, and count its tokens as computed."""
        steps = self.config.steps
        decoding, context, prefills, prefill_s = 0, 0, 0, 0.0
        for request in self.running:
            if request.computed >= request.to_prefill:
                decoding += 1
                context += request.prompt_tokens + len(request.token_times_s)
            else:
                prefills += 1
                prefill_s += steps.prefill_s(request.step_tokens, request.computed)
            request.computed += request.step_tokens
        return steps.step_s(prefill_s, prefills, decoding, context)

    # Preemption and order

    def victim(self) -> Request:
        """Return the request to preempt."""
        if self.config.order == "fcfs":
            return self.running[-1]
        worst = max(request.priority for request in self.running)
        return [request for request in self.running if request.priority == worst][-1]

    def preempt(self, request: Request) -> None:
        """Send a request back to the head of the queue; its cache is lost when others need it."""
        self.running.remove(request)
        self.release(request)
        request.preemptions += 1
        self.returns += 1
        request.place = (-1, -self.returns)
        self.waiting.append(request)
        self.sort_waiting()

    def sort_waiting(self) -> None:
        """Bring the queue into order."""
        if self.config.order == "fcfs":
            self.waiting.sort(key=lambda each: each.place)
        else:
            self.waiting.sort(key=lambda each: (each.priority, *each.place))

    # The cache

    def blocks_for(self, tokens: int) -> int:
        """Return how many blocks hold so many tokens."""
        return math.ceil(tokens / self.config.block_tokens)

    def blocks_of(self, request: Request) -> int:
        """Return how many blocks a request uses."""
        return request.own_blocks + sum(request.shared.values())

    def used(self) -> int:
        """Count the blocks that running requests use, shared ones once."""
        shared = {each for request in self.running for each in request.shared}
        own = sum(request.own_blocks for request in self.running)
        return own + sum(self.cached[each] for each in shared)

    def empty(self) -> int:
        """Count the blocks that hold nothing."""
        own = sum(request.own_blocks for request in self.running)
        total = self.config.kv_capacity_tokens // self.config.block_tokens
        return total - own - sum(self.cached.values())

    def available(self) -> int:
        """Count the blocks that hold nothing, or nothing that is in use."""
        return self.empty() + sum(self.cached[each] for each in self.unused)

    def allocate(self, request: Request, blocks: int) -> None:
        """Give a request blocks of its own; what was used longest ago makes room, its end first."""
        while self.empty() < blocks:
            oldest = self.unused[0]
            self.cached[oldest] -= 1
            if not self.cached[oldest]:
                del self.cached[self.unused.pop(0)]
            self.evictions += 1
        request.own_blocks += blocks

    def release(self, request: Request) -> None:
        """Free the blocks of a request; what it has computed stays until room is needed."""
        full = request.computed // self.config.block_tokens
        if self.config.prefix_cache:
            self.cache_blocks(request, full, partly=True)
            self.cache_the_rest(request, full)
        request.own_blocks = 0
        shared, request.shared = list(request.shared), {}
        for each in reversed(shared):
            if not self.in_use(each):
                self.unused.append(each)

    def in_use(self, piece: Key) -> bool:
        """Say whether a running request uses a piece of the cache."""
        return any(piece in request.shared for request in self.running)

    def known(self, request: Request) -> list[tuple[Key, int]]:
        """Return the pieces that others know too, and the blocks of the cache at whose end each is.

        They are full, and whole blocks of the engine.
        """
        size = request.block_tokens
        if not self.config.prefix_cache or not size or size % self.config.block_tokens:
            return []
        goes_on = len(request.blocks) > math.ceil(request.prompt_tokens / size)
        ends = [number * size for number in range(1, len(request.blocks) + 1)]
        return [
            ((size, each), end // self.config.block_tokens)
            for each, end in zip(request.blocks, ends, strict=True)
            if goes_on or end <= request.prompt_tokens
        ]

    def hit(self, request: Request) -> list[Key]:
        """Return the leading pieces that are cached; at least one token has to be computed."""
        found: list[Key] = []
        before = 0
        for piece, end in self.known(request):
            there = self.cached.get(piece, 0)
            if not there or (before + there) * self.config.block_tokens >= request.to_prefill:
                return found
            found.append(piece)
            if before + there < end:
                return found
            before = end
        if request.private in self.cached:
            found.append(request.private)
        return found

    def cache_prompt(self, request: Request) -> None:
        """Let others find the blocks of a prompt that are full when the planned step ends."""
        if request.computed < request.to_prefill:
            full = (request.computed + request.step_tokens) // self.config.block_tokens
            self.cache_blocks(request, full)

    def cache_blocks(self, request: Request, full: int, partly: bool = False) -> None:
        """Let others find what they know of the *full* blocks of a request."""
        before = 0
        for piece, end in self.known(request):
            there, mine = self.cached.get(piece, 0), min(full, end) - before
            if mine <= 0 or (full < end and not partly):
                return
            before = end
            if end <= request.offered:
                continue
            request.offered = end
            if piece in request.shared:
                more = max(mine - there, 0)
            elif there and (there >= mine or self.in_use(piece)):
                continue
            else:
                more = mine
                if there:
                    self.unused.remove(piece)
            if more:
                self.cached[piece] = mine
                request.own_blocks -= more
                request.shared[piece] = request.shared.get(piece, 0) + more

    def cache_the_rest(self, request: Request, full: int) -> None:
        """Keep the other *full* blocks of a request, which only itself may find again."""
        mine = full - max((end for _, end in self.known(request)), default=0)
        if mine <= 0:
            return
        if request.private not in request.shared:
            request.private = ("of", request.name, request.preemptions)
        there = request.shared.get(request.private, 0)
        self.cached[request.private] = mine
        request.own_blocks -= mine - there
        request.shared[request.private] = mine
