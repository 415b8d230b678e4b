"""Every column of every table, declared once.

The recorder, the DataFrames, the digest, the files and the tables of ``docs/tables.md`` are made
from this. A column that the world knows needs a line here, and its value by name where the world
calls its observer (``fedsim/world/observer.py``).
"""

from __future__ import annotations

from fedsim.results import derived, kinds
from fedsim.results.rows import Column, Table

REQUESTS = Table(
    "requests",
    (
        Column(
            "request_id",
            kinds.REQUEST_ID,
            "The stream's name and the request's number in it, from 0 in the order of arrival: "
            "`chat-17`.",
            derived=derived.request_id,
        ),
        Column("index", kinds.ROW, "The request's number in its stream, from 0.", hidden=True),
        Column("stream", kinds.STREAM, "The stream of the scenario's `workload`."),
        Column("tenant_number", kinds.NUMBER, "The tenant's number in its stream.", hidden=True),
        Column(
            "tenant",
            kinds.TENANT,
            "Such as `chat-tenant-3`, or the name that the scenario gives it; missing where the "
            "stream has no tenants.",
            derived=derived.tenant,
        ),
        Column(
            "session",
            kinds.NUMBER,
            "The number of its conversation in the stream, from 0, in the order in which they "
            "begin or go on; missing where there are none.",
            derived=derived.session,
        ),
        Column(
            "user",
            kinds.NUMBER,
            "The number of the user of a closed loop who sent it, from 0; missing where there are "
            "none.",
            derived=derived.user,
        ),
        Column(
            "turn",
            kinds.NUMBER,
            "Which turn of its session or user it is, from 1; a session that is under way at time "
            "0 goes on with a later one. Missing where there are neither.",
            derived=derived.turn,
        ),
        Column(
            "origin",
            kinds.REGION,
            "The region in which it arrived, at one of that region's gateways.",
        ),
        Column(
            "capability",
            kinds.CAPABILITY,
            "What it asks for.",
            derived=derived.stream_capability,
        ),
        Column(
            "privacy",
            kinds.PRIVACY,
            "The level of its data; ordered: public < internal < confidential < restricted.",
            derived=derived.stream_privacy,
        ),
        Column("arrived_s", kinds.INSTANT, "When it arrived."),
        Column(
            "finished_s",
            kinds.SECONDS,
            "When the answer or the error reached the client; missing if it is unfinished.",
            known="end",
        ),
        Column("outcome", kinds.OUTCOME, "See [below](#outcomes).", known="end"),
        Column(
            "node",
            kinds.NODE,
            "The node that served it, or the last one tried; missing if it was never sent to one.",
            known="end",
        ),
        Column(
            "region",
            kinds.REGION,
            "That node's region.",
            derived=derived.node_region,
        ),
        Column(
            "attempts",
            kinds.COUNT,
            "How many attempts were started, retries included.",
            derived=derived.attempts,
        ),
        Column(
            "latency_s",
            kinds.SECONDS,
            "`finished_s − arrived_s`, whatever the outcome.",
            derived=derived.latency_s,
        ),
        Column(
            "network_s",
            kinds.SECONDS,
            "Time on the network of the attempt that answered, there and back; missing unless it "
            "succeeded.",
            known="end",
        ),
        Column(
            "queue_wait_s",
            kinds.SECONDS,
            "Time at the node before service, of that attempt: in the queue, in an engine's "
            "`request_overhead`, or while a batch fills; missing unless it succeeded.",
            known="end",
        ),
        Column(
            "service_s",
            kinds.SECONDS,
            "Time in a slot of that attempt; in an engine from its first admission to its last "
            "token, also while it is preempted. Missing unless it succeeded.",
            known="end",
        ),
        Column(
            "ttft_s",
            kinds.SECONDS,
            "From arrival to the first token, as it reaches the gateway; the first audio of "
            "speech synthesis. Missing where the node does not know it (a service that does not "
            "depend on tokens, batches, transcripts, images), or it did not succeed.",
            known="end",
        ),
        Column(
            "tpot_s",
            kinds.SECONDS,
            "Time per output token: (last token − first token) / (`output_tokens` − 1), at the "
            "node. Missing below two tokens, where the first token's time is not known, or where "
            "it did not succeed.",
            known="end",
        ),
        Column(
            "prompt_tokens",
            kinds.TOKENS,
            "Size of the prompt; missing where the scenario does not say.",
        ),
        Column(
            "cached_tokens",
            kinds.TOKENS,
            "Those tokens of the prompt that the node found in its prefix cache when it first "
            "admitted the request; missing where it has no engine, or the request did not "
            "succeed.",
            known="end",
        ),
        Column(
            "output_tokens",
            kinds.TOKENS,
            "Size of the answer; missing where the scenario does not say.",
        ),
        Column(
            "preemptions",
            kinds.NUMBER,
            "How often the engine that answered preempted the request, for want of room in its "
            "cache; missing where the node has no engine, or the request did not succeed.",
            known="end",
        ),
        Column(
            "cost_usd",
            kinds.USD,
            "The node's price for the share of its slots and the time that the request held, over "
            "all its attempts; missing where a node without a price served it.",
            known="end",
        ),
    ),
)
"""A row per request, in the order of arrival; 97 bytes where names are few."""

TURNS = Table(
    "turns",
    (
        Column("request", kinds.ROW, "The row of the request.", hidden=True),
        Column("user", kinds.NUMBER, "Its user or session, from 0.", hidden=True),
        Column("turn", kinds.NUMBER, "Which turn of theirs it is, from 0.", hidden=True),
    ),
)
"""A row per request of a user or a session, in the order of arrival; 12 bytes."""

ATTEMPTS = Table(
    "attempts",
    (
        Column(
            "request_id",
            kinds.REQUEST_ID,
            "The request.",
            derived=derived.request_id_of_row,
        ),
        Column("request", kinds.ROW, "The row of the request.", hidden=True),
        Column("attempt", kinds.COUNT, "The number of the try, from 1."),
        Column(
            "gateway",
            kinds.GATEWAY,
            "The gateway that made it: `us-east/0` is the first of that region.",
        ),
        Column("node", kinds.NODE, "Where it was sent."),
        Column(
            "region",
            kinds.REGION,
            "That node's region.",
            derived=derived.node_region,
        ),
        Column(
            "hedge",
            kinds.FLAG,
            "Whether it is a [hedge](resilience.md#hedges): another attempt of its request was "
            "under way when it was sent.",
        ),
        Column("started_s", kinds.INSTANT, "When the gateway sent it."),
        Column(
            "finished_s",
            kinds.SECONDS,
            "When the answer, the error or the deadline came.",
            known="end",
        ),
        Column(
            "outcome",
            kinds.OUTCOME,
            "As for requests, and `cancelled` for one that was stopped because no request waited "
            "for it any more.",
            known="end",
        ),
        Column(
            "queue_wait_s",
            kinds.SECONDS,
            "Time in the node's queue; missing if it never left the queue or never reached one.",
            known="end",
        ),
        Column(
            "service_s",
            kinds.SECONDS,
            "Time in a slot, until the answer or until the node stopped working on it; missing if "
            "it got none.",
            known="end",
        ),
    ),
)
"""A row per attempt, in the order of their starts; 41 bytes where names are few."""

NODES = Table(
    "nodes",
    (
        Column("time_s", kinds.INSTANT, "When the sample was taken."),
        Column("node", kinds.NODE, "The node."),
        Column("pool", kinds.POOL, "Its pool.", derived=derived.node_pool),
        Column("region", kinds.REGION, "Its region.", derived=derived.node_region),
        Column(
            "up", kinds.FLAG, "Whether it was ready to serve: neither down nor in a cold start."
        ),
        Column(
            "running",
            kinds.DEPTH,
            "Requests in slots, in the engine's batch or in the batch at work, at that moment.",
        ),
        Column(
            "queued",
            kinds.DEPTH,
            "Requests in the queue at that moment, in an engine also those that are prepared or "
            "preempted.",
        ),
        Column(
            "utilization",
            kinds.SHARE,
            "Share of the time since the sample before in which it was in use: of an engine, in "
            "which it stepped; of any other node, the busy share of its slots. `running` and "
            "`kv_used_tokens` next to it say how large its batches were and how full its cache.",
        ),
        Column(
            "kv_used_tokens",
            kinds.TOKENS,
            "Room in the key-value cache that running requests hold, in whole blocks; missing "
            "where the node has no engine.",
        ),
    ),
)
"""A row per node and sample, of nodes that are there."""

EVENTS = Table(
    "events",
    (
        Column("time_s", kinds.INSTANT, "When it became true."),
        Column(
            "kind",
            kinds.EVENT_KIND,
            "`fault`, `loading`, `refusal`, `health`, `breaker`, `outlier`, `panic`, `plugin`, "
            "`admission`, `scaler` (it wants another number of nodes of the pool) or `presence` (a "
            "node is ordered, ready, drains, or is gone).",
        ),
        Column("subject", kinds.TEXT, "What changed."),
        Column(
            "gateway",
            kinds.GATEWAY_NAME,
            "Which gateway noticed; missing for what happens on a node.",
        ),
        Column("before", kinds.TEXT, "The state before; missing for plug-ins and refusals."),
        Column("after", kinds.TEXT, "The state after; missing for plug-ins and refusals."),
        Column("detail", kinds.TEXT, "Why, in words; for a fault its kind."),
    ),
    sorted_by="time_s",
)
"""A row per event, in the order of time; equal times keep the order of their reports.

A breaker reports that it became half-open when it is next used, with the time at which it did.
"""

NODE_TOTALS = Table(
    "node_totals",
    (
        Column("node", kinds.NODE, "The node."),
        Column("pool", kinds.POOL, "Its pool.", derived=derived.node_pool),
        Column("region", kinds.REGION, "Its region.", derived=derived.node_region),
        Column(
            "slots",
            kinds.SLOTS,
            "Requests that it serves at once; the `max_batch` of an engine or of batches.",
            derived=derived.slots,
        ),
        Column(
            "cost_usd_per_hour",
            kinds.USD_PER_HOUR,
            "Its price; missing where none is given.",
            derived=derived.cost_usd_per_hour,
        ),
        Column("up_s", kinds.SECONDS, "Time up; a cold start is not time up.", known="end"),
        Column(
            "busy_slot_s",
            kinds.SLOT_SECONDS,
            "Slots in use, integrated over the run.",
            known="end",
        ),
        Column(
            "wasted_slot_s",
            kinds.SLOT_SECONDS,
            "Those of them whose result no request took: the deadline had passed, or the node was "
            "lost.",
            known="end",
        ),
        Column(
            "window_busy_slot_s",
            kinds.SLOT_SECONDS,
            "Those within the summary's window, [warmup, duration).",
            known="end",
        ),
        Column(
            "window_busy_s",
            kinds.SECONDS,
            "Time in use within that window: of an engine its time in steps, of any other node "
            "`window_busy_slot_s` / `slots`.",
            known="end",
        ),
        Column(
            "paid_s",
            kinds.SECONDS,
            "Time that is paid for, up or not: the whole run, or with a scaler from each order of "
            "the node to the end of its drain.",
            known="end",
        ),
        Column("window_paid_s", kinds.SECONDS, "That within the summary's window.", known="end"),
        Column("window_up_s", kinds.SECONDS, "Time up within the summary's window.", known="end"),
    ),
)
"""A row per node of the directory, in its order, which the end of the run fills in."""

DECISIONS = Table(
    "decisions",
    (
        Column(
            "request_id",
            kinds.REQUEST_ID,
            "The request.",
            derived=derived.request_id_of_row,
        ),
        Column("request", kinds.ROW, "The row of the request.", hidden=True),
        Column(
            "attempt",
            kinds.COUNT,
            "Number of the attempt that the decision was for, from 1.",
        ),
        Column("time_s", kinds.INSTANT, "When the gateway decided."),
        Column("gateway", kinds.GATEWAY, "The gateway."),
        Column(
            "outcome",
            kinds.OUTCOME,
            "`ok` where a node was chosen, else the kind of the error.",
        ),
        Column("node", kinds.NODE, "The candidate."),
        Column("region", kinds.REGION, "Its region.", derived=derived.node_region),
        Column("chosen", kinds.FLAG, "Whether it was chosen."),
        Column(
            "eligible",
            kinds.FLAG_KNOWN,
            "Whether it could have been; missing where the router is not ours.",
        ),
        Column("rejection_reason", kinds.TEXT, "Why it could not."),
        *(
            Column(
                f"{policy}_score",
                kinds.SCORE,
                f"What the policy `{policy}` scored it at: the number that the decision used. "
                "Missing without such a policy, with a strategy that uses no scores, or where the "
                "router is not ours.",
            )
            for policy in ("latency", "throughput", "cost", "locality", "health")
        ),
        Column(
            "total_score",
            kinds.SCORE,
            "The policies' total, those of your own included; missing with a strategy that uses no "
            "scores, or where the router is not ours.",
        ),
        Column(
            "estimated_latency_s",
            kinds.SECONDS,
            "The median of its latencies, as this gateway measured them; missing where unknown.",
        ),
        Column("health", kinds.TEXT, "The verdict of the gateway's health checker."),
        Column("circuit", kinds.TEXT, "The state of its circuit in the gateway."),
        Column(
            "in_flight",
            kinds.DEPTH_KNOWN,
            "Requests that this gateway had sent there and that had not ended.",
        ),
        Column(
            "reported_depth",
            kinds.DEPTH_KNOWN,
            "Requests running and waiting at the last probe that was answered.",
        ),
        Column("reported_age_s", kinds.SECONDS, "Time since that probe."),
        Column(
            "actual_depth",
            kinds.DEPTH,
            "Requests that were running and waiting there in truth, which no gateway can know.",
        ),
    ),
)
"""A row per candidate of a decision, in the order of decisions."""

TABLES = {
    table.name: table for table in (REQUESTS, ATTEMPTS, NODES, EVENTS, NODE_TOTALS, DECISIONS)
}
"""The tables that people see, by name."""
