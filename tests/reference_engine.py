"""A naive engine, token by token, that the fast one must equal: written to be obvious, not fast.

Every step looks at every sequence and computes every sum anew. It shares nothing with the fast
engine but the settings and the step times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fedsim.world.engine.config import EngineConfig


@dataclass(eq=False)
class Item:
    """A request, and what has become of it."""

    number: int
    prompt: int
    output: int
    hashes: tuple[int, ...] = ()
    hash_tokens: int = 0
    priority: int = 0
    begun_s: float = math.nan
    token_times_s: list[float] = field(default_factory=list)
    cached: int = 0
    preemptions: int = 0
    aborted: bool = False
    computed: int = 0
    goal: int = 0
    private: int = 0
    shared: list[int] = field(default_factory=list)
    chunk: int = 0


def blocks_for(tokens, size):
    return math.ceil(tokens / size)


class ReferenceEngine:
    """Takes ``(time_s, action, item)`` in the order of time; actions are submit and abort, and
    ``("factor", value)``.
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        self.size = config.block_tokens
        self.total = config.kv_capacity_tokens // config.block_tokens
        self.running: list[Item] = []
        self.waiting: list[Item] = []
        self.users: dict[int, int] = {}  # content in the cache, and how many use it
        self.weight: dict[int, int] = {}  # its blocks
        self.unused: list[int] = []  # content that nobody uses, least recently used first
        self.finished: list[Item] = []
        self.factor = 1.0
        self.kv_blocks_over_time: list[tuple[float, int]] = []

    def blocks_in_use(self):
        shared = sum(self.weight[content] for content, users in self.users.items() if users > 0)
        return sum(item.private for item in self.running) + shared

    def available(self):
        return self.total - self.blocks_in_use()

    def evict_until_it_fits(self):
        while self.blocks_in_use() + sum(self.weight[each] for each in self.unused) > self.total:
            oldest = self.unused.pop(0)
            del self.users[oldest], self.weight[oldest]

    def free(self, item):
        item.private = 0
        for content in reversed(item.shared):
            self.users[content] -= 1
            if self.users[content] == 0:
                self.unused.append(content)
        item.shared = []
        item.computed = item.chunk = 0

    def preempt_last(self):
        victim = self.running.pop()
        self.free(victim)
        victim.preemptions += 1
        self.waiting.append(victim)
        return victim

    def grow(self, item, tokens):
        """Give *item* blocks for *tokens* more; return whether there was room."""
        missing = blocks_for(item.computed + tokens, self.size) - blocks_for(
            item.computed, self.size
        )
        if missing > self.available():
            return False
        item.private += missing
        self.evict_until_it_fits()
        item.chunk = tokens
        return True

    def publish(self, item):
        """Have full blocks of the prompt found again from now on."""
        if not self.usable(item):
            return
        for index, content in enumerate(item.hashes):
            end = (index + 1) * item.hash_tokens
            fills_now = item.computed < end <= item.computed + item.chunk
            if fills_now and end <= item.prompt and content not in self.users:
                self.users[content] = 1
                self.weight[content] = item.hash_tokens // self.size
                item.private -= self.weight[content]
                item.shared.append(content)

    def usable(self, item):
        return (
            self.config.prefix_cache and item.hashes != () and item.hash_tokens % self.size == 0
        )

    def found(self, item):
        hits = []
        if self.usable(item):
            goal = item.prompt + len(item.token_times_s)
            for index, content in enumerate(item.hashes):
                end = (index + 1) * item.hash_tokens
                if content not in self.users or end > item.prompt or end > goal - 1:
                    break
                hits.append(content)
        return hits

    def plan(self, now_s):
        """Decide what the next step computes; return whether there is anything."""
        budget = self.config.token_budget
        preempted = False
        for item in list(self.running):
            if item not in self.running:
                break
            decodes = item.computed >= item.goal
            tokens = 1 if decodes else min(item.goal - item.computed, budget)
            while not self.grow(item, tokens):
                preempted = True
                if self.preempt_last() is item:
                    break
            if item not in self.running:
                break
            budget -= tokens
            if not decodes:
                self.publish(item)
        if not preempted:
            self.admit(now_s, budget)
        return bool(self.running)

    def admit(self, now_s, budget):
        while self.waiting and budget > 0 and len(self.running) < self.config.max_batch:
            by_priority = self.config.order == "priority"
            item = min(
                self.waiting, key=lambda each: (each.priority if by_priority else 0, each.number)
            )
            hits = self.found(item)
            goal = item.prompt + len(item.token_times_s)
            cached = len(hits) * item.hash_tokens
            tokens = min(goal - cached, budget)
            if tokens < goal - cached and not self.config.chunked_prefill:
                return
            evictable = sum(self.weight[each] for each in hits if self.users[each] == 0)
            missing = blocks_for(cached + tokens, self.size) - cached // self.size
            if missing > self.available() - evictable:
                return
            self.waiting.remove(item)
            self.running.append(item)
            for content in hits:
                self.users[content] += 1
                if content in self.unused:
                    self.unused.remove(content)
            item.shared = list(hits)
            item.computed = cached
            item.goal = goal
            if math.isnan(item.begun_s):
                item.begun_s = now_s
                item.cached = cached
            assert self.grow(item, tokens)
            self.publish(item)
            budget -= tokens

    def step_s(self):
        decoding = [item for item in self.running if item.computed >= item.goal]
        prefilled = [item for item in self.running if item.computed < item.goal]
        prefill_s = sum(
            self.config.steps.prefill_s(item.chunk, item.computed) for item in prefilled
        )
        context = sum(item.prompt + len(item.token_times_s) for item in decoding)
        return self.factor * self.config.steps.step_s(
            prefill_s, len(prefilled), len(decoding), context
        )

    def act(self, action, subject):
        if action == "submit":
            self.waiting.append(subject)
        elif action == "factor":
            self.factor = subject
        elif subject in self.waiting:
            subject.aborted = True
            self.waiting.remove(subject)
        elif subject in self.running:
            subject.aborted = True
            self.running.remove(subject)
            self.free(subject)

    def end_step(self, now_s):
        for item in list(self.running):
            item.computed += item.chunk
            item.chunk = 0
            if item.computed < item.goal:
                continue
            item.token_times_s.append(now_s)
            if len(item.token_times_s) == item.output:
                self.running.remove(item)
                self.free(item)
                self.finished.append(item)

    def run(self, actions):
        """Carry out all *actions*, and run until nothing is left."""
        actions = list(actions)
        now_s = 0.0
        while actions or self.running or self.waiting:
            if not self.running and not self.waiting:
                now_s = max(now_s, actions[0][0])
            while actions and actions[0][0] <= now_s:
                self.act(*actions.pop(0)[1:])
            if not self.plan(now_s):
                continue
            self.kv_blocks_over_time.append((now_s, self.blocks_in_use()))
            end_s = now_s + self.step_s()
            while actions and actions[0][0] <= end_s:
                self.act(*actions.pop(0)[1:])
            self.end_step(end_s)
            now_s = end_s
        return self.finished
