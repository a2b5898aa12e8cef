"""Every metric that a worker or a service shows: its name, kind, labels, unit and meaning.

Names follow Prometheus: base units, ``_total`` for counters. No label has an id of a customer, an
event or a decision. What a label's values may be is bounded: by the log's partitions, by the
strategy, or by a fixed list (`BOUNDS`); whatever is beyond that is counted as ``other``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Where = Literal["run", "serve", "both"]

SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Upper bounds of the buckets of a histogram of seconds."""
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Upper bounds of the buckets of a histogram of sizes."""
OTHER = "other"

BOUNDS: dict[str, int] = {
    "partition": 1024,
    "entity": 64,
    "channel": 64,
    "objective": 64,
    "action": 256,
    "response": 32,
    "member": 16,
}
"""How many values a label may have, at most, besides ``other``."""

POLICIES = ("explore", "exploit", "control", "fallback", "none")
"""How a decision's offers were chosen: one that had not the best score was tried, the best were
taken, the control group's draw, the declared fallback, nothing was offered. What runs count has
``unknown`` too, where a decision's record does not tell."""
DEAD_REASONS = ("json", "type", "missing", "unknown", "timestamp", "id", "size", "loop", OTHER)
FALLBACK_REASONS = ("store", "models", "row", "contacts", "contention", OTHER)
RULES = (
    "channel", "closed", "blocked", "schedule", "cap", "cool_down", "suppress", "eligibility",
    OTHER,
)  # fmt: skip
"""Classes of the rules that exclude an action from a decision."""


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric.

    Attributes
    ----------
    name, kind, labels
        As they are shown; of a histogram without ``_bucket``, ``_sum`` and ``_count``.
    where
        Shown by ``nextbest run``, by ``nextbest serve``, or by both.
    text
        What it means: the help text.
    bounds
        Of a histogram: the upper bounds of its buckets.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    where: Where
    text: str
    bounds: tuple[float, ...] = ()


def _counter(name: str, labels: str, where: Where, text: str) -> Metric:
    return Metric(f"nextbest_{name}_total", "counter", tuple(labels.split()), where, text)


def _gauge(name: str, labels: str, where: Where, text: str) -> Metric:
    return Metric(f"nextbest_{name}", "gauge", tuple(labels.split()), where, text)


def _histogram(
    name: str, labels: str, where: Where, text: str, bounds: tuple[float, ...] = SECONDS
) -> Metric:
    return Metric(f"nextbest_{name}", "histogram", tuple(labels.split()), where, text, bounds)


BUILD_INFO = _gauge(
    "build_info",
    "version python role worker catalog",
    "both",
    "1; what this process is: role run or serve, worker the number of the process",
)

LOG_READ_RECORDS = _counter(
    "log_read_records", "partition", "run", "Records read from the event log"
)
LOG_READ_BYTES = _counter(
    "log_read_bytes", "partition", "run", "Bytes of records read from the event log"
)
LAG_RECORDS = _gauge(
    "lag_records",
    "partition",
    "run",
    "Entries of the log that this worker has not read; not known of files",
)
LAG_SECONDS = _gauge(
    "lag_seconds",
    "partition",
    "run",
    "Seconds since the log took in the newest entry that was read, 0 if all were read",
)
EVENTS_APPLIED = _counter(
    "events_applied", "partition", "run", "Events applied to customers, the late ones too"
)
EVENTS_LATE = _counter(
    "events_late", "partition", "run", "Applied events that came later than the allowed lateness"
)
EVENTS_DUPLICATE = _counter(
    "events_duplicate", "partition", "run", "Events dropped because they had come before"
)
DEAD_LETTERS = _counter(
    "dead_letters", "partition reason", "run", "Records refused, by the class of the reason"
)
FRESHNESS = _histogram(
    "freshness_seconds",
    "",
    "run",
    "From the log taking an event in (by the log's clock) to its row in the store; by row",
)
PROCESSING = _histogram(
    "processing_seconds", "", "run", "From reading an event to its row in the store; by row"
)
SNAPSHOT = _histogram("snapshot_seconds", "", "run", "How long an epoch's snapshot held events up")
ROWS_WRITTEN = _counter("rows_written", "", "run", "Rows that the online store has acknowledged")
FLUSH = _histogram(
    "flush_seconds", "", "run", "Sending one batch of rows to the store, with waits for its answers"
)
ROWS_RESIDENT = _gauge(
    "rows_resident", "entity", "run", "Customers (or things of another entity) held in memory"
)
ROWS_EVICTED = _counter(
    "rows_evicted", "entity", "run", "Rows that left memory for the disk since the start"
)
OUTAGE_ACTIVE = _gauge(
    "outage_active", "", "run", "1 while the worker waits for a store or log that is away"
)
OUTAGES = _counter("outages", "", "run", "Times that a store or log went away")
OUTAGE_SECONDS = _counter(
    "outage_seconds", "", "run", "Seconds of waiting for a store or log, with those of now"
)
COMPILE_SECONDS = _counter("compile_seconds", "", "run", "Seconds of compiling kernels")

DECISIONS_LOGGED = _counter(
    "decisions_logged", "channel policy", "run", "Decisions read from the log and kept"
)
OUTCOMES_LOGGED = _counter(
    "outcomes_logged", "response", "run", "Outcomes read from the log and kept"
)
LOOP_DUPLICATES = _counter(
    "loop_duplicates", "", "run", "Decisions and outcomes dropped because they had come before"
)
EXAMPLES = _counter(
    "examples",
    "objective kind",
    "run",
    "What models were told: kind response, silence, repaired or withdrawn",
)
EXAMPLES_LATE = _counter("examples_late", "", "run", "Examples that came too late to be learned")
DECISIONS_WAITING = _gauge(
    "decisions_waiting",
    "partition",
    "run",
    "Decisions in memory, to whose objectives something may still come",
)
EXAMPLES_KEPT = _gauge(
    "examples_kept",
    "objective",
    "run",
    "Examples in memory that can still be taken back, of all members of a fleet",
)
EXAMPLE_KINDS = ("response", "silence", "repaired", "withdrawn")
REWARD = _counter(
    "reward",
    "objective policy",
    "run",
    "Sum of rewards, with what corrections added; less nextbest_reward_taken_back_total it is what "
    "is known",
)
REWARD_TAKEN_BACK = _counter(
    "reward_taken_back",
    "objective policy",
    "run",
    "Sum of what was taken off rewards: corrected downwards, or withdrawn as nobody saw the offer",
)
REWARDED = _counter(
    "rewarded",
    "objective policy",
    "run",
    "Offers whose outcome, or silence, became known: the count of nextbest_reward_total",
)
REWARDED_TAKEN_BACK = _counter(
    "rewarded_taken_back",
    "objective policy",
    "run",
    "Offers of them that were withdrawn: the count of nextbest_reward_taken_back_total",
)
OBJECTIVE_WEIGHT = _gauge(
    "objective_weight",
    "objective",
    "run",
    "What the strategy says that a reward of an objective weighs; below 0, fewer are better",
)
FLEET_DECISIONS = _counter(
    "fleet_decisions",
    "member",
    "run",
    "Decisions read from the log that a member of the fleet made: one that the strategy names, "
    "fresh (drift began it), or other",
)
FRESH = "fresh"
FLEET_CHANGES = _counter(
    "fleet_changes", "what", "run", "Changes of the fleet: add, spawn, promote, retire and so on"
)
FLEET_CHANGE_KINDS = ("begin", "add", "spawn", "promote", "roll back", "renew", "retire", "judge")
FLEET_MEMBERS = _gauge(
    "fleet_members", "role", "run", "Members of the fleet: champion, challenger, reserve or shadow"
)
FLEET_ROLES = ("champion", "challenger", "reserve", "shadow")
FLEET_PAIRS = _gauge(
    "fleet_trial_pairs", "member", "run", "Pairs of outcomes that a member's trial has counted"
)
FLEET_GAIN = _gauge(
    "fleet_trial_gain",
    "member bound",
    "run",
    "A member's reward less the champion's: mean, low or high; low and high hold at all times. Of "
    "a shadow, objective:member, by how many nats its log loss is less",
)
FLEET_GAIN_BOUNDS = ("mean", "low", "high")
TRIGGERS = _counter(
    "triggers",
    "result",
    "run",
    "What came of events at which the strategy decides by itself (triggered, sent, rerouted, late, "
    "nothing, repeated, fallback, refused)",
)
TRIGGER_RESULTS = (
    "triggered",
    "sent",
    "rerouted",
    "late",
    "nothing",
    "repeated",
    "fallback",
    "refused",
)
OUTBOUND = _counter(
    "outbound_messages",
    "channel rerouted",
    "run",
    "Messages put into a channel's outbound stream; rerouted: in place of one not delivered",
)

MODEL_VERSION = _gauge(
    "model_version",
    "objective",
    "both",
    "Outcomes that the model has learned: as published (run), as it decides (serve)",
)
MODEL_CHANGED = _gauge(
    "model_changed_timestamp_seconds",
    "objective",
    "both",
    "When that model was last published (run) or taken up (serve), unix time",
)

HTTP_SECONDS = _histogram(
    "http_request_duration_seconds", "route method status", "serve", "Answering one request"
)
HTTP_IN_FLIGHT = _gauge("http_requests_in_flight", "", "serve", "Requests being answered")
EVENTS_PUBLISHED = _counter(
    "events_published", "", "serve", "Events appended to the log for POST /v1/events"
)
EVENTS_REFUSED = _counter("events_refused", "", "serve", "Events that POST /v1/events refused")
LOOKUP_ROWS = _counter("lookup_rows", "", "serve", "Rows looked up by /v1/features")
RECEIPTS = _counter(
    "receipts",
    "result",
    "serve",
    "Requests that waited for a receipt: shown, or stale if the wait was too short",
)
RECEIPT_RESULTS = ("shown", "stale")
DECIDE_BATCH = _histogram(
    "decide_batch_size", "", "serve", "Decisions made together in one round trip", SIZES
)
DECISIONS = _counter("decisions", "channel policy", "serve", "Decisions answered (dry runs not)")
DECISIONS_REPEATED = _counter(
    "decisions_repeated", "", "serve", "Answers with a decision that had been made before"
)
FALLBACKS = _counter(
    "fallbacks", "reason", "serve", "Decisions that the declared fallback answered"
)
EXCLUSIONS = _counter(
    "exclusions",
    "rule",
    "serve",
    "Actions excluded from a decision, by class of the rule; cap: cap hits",
)
OFFERS = _counter("offers", "action", "serve", "Actions offered")
STRATEGY_INFO = _gauge(
    "strategy_info",
    "strategy version",
    "both",
    "1; the strategy that decides (serve) or learns (run)",
)
STRATEGY_REFRESHES = _counter(
    "strategy_refreshes", "result", "serve", "Times that a changed strategy was taken up or refused"
)
STRATEGY_REFUSED = _gauge(
    "strategy_refused", "", "serve", "1 while the strategy as it is now is refused, another decides"
)
MODEL_REFRESHES = _counter(
    "model_refreshes", "result", "serve", "Times that changed models were taken up or refused"
)
REFRESH_RESULTS = ("taken", "refused")

AUDIT_VALUES = _gauge("audit_values", "", "both", "Values that the last `nextbest audit` compared")
AUDIT_DIFFERING = _gauge(
    "audit_values_differing", "", "both", "Those of them that differed: must be 0"
)
AUDIT_TIME = _gauge(
    "audit_last_run_timestamp_seconds", "", "both", "When that audit ended, unix time"
)

ALL: tuple[Metric, ...] = tuple(
    value for value in dict(vars()).values() if isinstance(value, Metric)
)
"""All of them, in order."""


def table() -> str:
    """Return all metrics as a table in Markdown.

    >>> table().splitlines()[-1].split("|")[1:4]
    [' `nextbest_audit_last_run_timestamp_seconds` ', ' gauge ', '  ']
    """
    lines = ["| metric | kind | labels | shown by | meaning |", "|---|---|---|---|---|"]
    for metric in ALL:
        where = "run, serve" if metric.where == "both" else metric.where
        labels = ", ".join(metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {where} | {metric.text} |")
    return "\n".join(lines)
