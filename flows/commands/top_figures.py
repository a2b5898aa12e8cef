"""From what processes showed at two moments to the figures that a person watches."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from .top_reading import Scrape
from .top_watched import Timing, Watched


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process: what it is and how it does; `away` says why it is not seen."""

    url: str
    away: str | None
    role: str
    worker: str
    catalog: str
    memory_bytes: float | None
    cores: float | None
    up_seconds: float | None
    events_per_second: float
    requests_per_second: float
    outage: bool


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of the log; a lag of None: it is not known."""

    partition: str
    read_per_second: float
    lag_records: float | None
    lag_seconds: float | None
    late: float
    duplicate: float
    dead: float


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How decisions were made: how often, and what offers brought whose outcome is known.

    `mean_reward` is the sum of the objectives' means, each times its weight; `rewarded` says of
    how many offers.
    """

    policy: str
    per_second: float
    share: float | None
    mean_reward: float | None
    rewarded: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The model of an objective: what was published last, and what the services decide by."""

    objective: str
    published: float | None
    published_age_seconds: float | None
    decides: float | None
    decides_age_seconds: float | None


class Fellow(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a fleet, or ``objective:shadow``: what it decides, and how its trial stands.

    `gain` is its mean reward less the champion's, of a shadow by how many nats its log loss is
    less; with a probability that the strategy sets it is never outside `low` and `high`. The
    champion has no trial.
    """

    name: str
    per_second: float
    share: float | None
    pairs: float | None
    gain: float | None
    low: float | None
    high: float | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; rates and quantiles are those of the last `seconds`, the rest since the start.

    Quantiles are interpolated in a histogram's buckets, as Prometheus does it. Where nothing was
    timed within the last seconds, they are those since the start.
    """

    at: float
    seconds: float
    processes: tuple[Process, ...]
    events_per_second: float
    rows_per_second: float
    events: float
    late: float
    duplicate: float
    dead: float
    dead_reasons: dict[str, float]
    partitions: tuple[Partition, ...]
    freshness: Timing
    requests: tuple[Timing, ...]
    decisions_per_second: float
    exploration: float | None
    policies: tuple[Policy, ...]
    fallbacks: dict[str, float]
    exclusions: dict[str, float]
    cap_hits: float
    cap_hits_per_second: float
    models: tuple[Model, ...]
    fleet: tuple[Fellow, ...]
    fleet_roles: dict[str, float]
    differing: float | None


def figures(before: Sequence[Scrape], now: Sequence[Scrape]) -> Figures:
    """Return the figures of processes that were read twice.

    Parameters
    ----------
    before, now
        Earlier and later; of a process that was away then there are no rates.
    """
    watched = Watched(before, now)
    exclusions = _named(watched.by("nextbest_exclusions_total", "rule"))
    capped = watched.grown("nextbest_exclusions_total", "rule")[("cap",)]
    decided, rates = _decided(watched)
    policies = _policies(watched, decided, rates)
    shares = {each.policy: each.share for each in policies}
    return Figures(
        at=time.time(),
        seconds=watched.seconds,
        processes=tuple(_process(each, before) for each in now),
        events_per_second=watched.rate("nextbest_events_applied_total"),
        rows_per_second=watched.rate("nextbest_rows_written_total"),
        events=watched.sum("nextbest_events_applied_total"),
        late=watched.sum("nextbest_events_late_total"),
        duplicate=watched.sum("nextbest_events_duplicate_total"),
        dead=watched.sum("nextbest_dead_letters_total"),
        dead_reasons=_named(watched.by("nextbest_dead_letters_total", "reason")),
        partitions=_partitions(watched),
        freshness=watched.timing("nextbest_freshness_seconds"),
        requests=_requests(watched),
        decisions_per_second=_per_second(sum(rates.values()), watched),
        exploration=shares.get("explore", 0.0) if any(shares.values()) else None,
        policies=policies,
        fallbacks=_named(watched.by("nextbest_fallbacks_total", "reason")),
        exclusions=exclusions,
        cap_hits=exclusions.get("cap", 0.0),
        cap_hits_per_second=_per_second(capped, watched),
        models=_models(watched),
        fleet=_fleet(watched),
        fleet_roles=_named(watched.by("nextbest_fleet_members", "role")),
        # Every process of a directory tells of the same audit.
        differing=watched.most("nextbest_audit_values_differing").get(()),
    )


def _named(found: Mapping[tuple[str, ...], float]) -> dict[str, float]:
    pairs = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return {key[0]: value for key, value in pairs if value}


def _per_second(grown: float, watched: Watched) -> float:
    return grown / watched.seconds if watched.seconds else 0.0


def _process(each: Scrape, before: Sequence[Scrape]) -> Process:
    own = Watched([was for was in before if was.url == each.url], [each])
    began = each.value("process_start_time_seconds")
    return Process(
        url=each.url,
        away=each.away,
        role=each.label("nextbest_build_info", "role"),
        worker=each.label("nextbest_build_info", "worker"),
        catalog=each.label("nextbest_build_info", "catalog"),
        memory_bytes=each.value("process_resident_memory_bytes"),
        cores=own.rate("process_cpu_seconds_total") if own.seconds else None,
        up_seconds=None if began is None else max(0.0, time.time() - began),
        events_per_second=own.rate("nextbest_events_applied_total"),
        requests_per_second=own.rate("nextbest_http_request_duration_seconds_count"),
        outage=bool(each.value("nextbest_outage_active")),
    )


def _partitions(watched: Watched) -> tuple[Partition, ...]:
    names = ("nextbest_log_read_records_total", "nextbest_lag_records", "nextbest_lag_seconds")
    read, records, seconds = (watched.by(name, "partition") for name in names)
    grown = watched.grown(names[0], "partition")
    late, duplicate, dead = (
        watched.by(f"nextbest_{name}_total", "partition")
        for name in ("events_late", "events_duplicate", "dead_letters")
    )
    every = sorted({*read, *records}, key=lambda key: (len(key[0]), key[0]))
    return tuple(
        Partition(
            partition=key[0], read_per_second=_per_second(grown[key], watched),
            lag_records=records.get(key), lag_seconds=seconds.get(key),
            late=late[key], duplicate=duplicate[key], dead=dead[key],
        )
        for key in every
    )  # fmt: skip


def _requests(watched: Watched) -> tuple[Timing, ...]:
    name = "nextbest_http_request_duration_seconds"
    answered = watched.by(f"{name}_count", "route")
    failed: Counter[str] = Counter()
    for (route, status), value in watched.grown(f"{name}_count", "route", "status").items():
        if status.startswith("5"):
            failed[route] += value
    found = []
    for (route,), times in sorted(answered.items(), key=lambda pair: (-pair[1], pair[0])):
        if times:
            timing = watched.timing(name, route, "route")
            found.append(
                msgspec.structs.replace(
                    timing, failed_per_second=_per_second(failed[route], watched)
                )
            )
    return tuple(found)


def _decided(watched: Watched) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Return decisions by policy, and how many were added: those answered, or else those read."""
    names = ("nextbest_decisions_total", "nextbest_decisions_logged_total")
    name = next((n for n in names if watched.by(n)), names[0])
    return watched.by(name, "policy"), watched.grown(name, "policy")


def _policies(
    watched: Watched, decided: Counter[tuple[str, ...]], grown: Counter[tuple[str, ...]]
) -> tuple[Policy, ...]:
    rewarded, means = _earned(watched)
    counts = grown if sum(grown.values()) else decided
    total = sum(counts.values())
    return tuple(
        Policy(
            policy=key[0], per_second=_per_second(grown[key], watched),
            share=counts[key] / total if total else None,
            mean_reward=means.get(key), rewarded=rewarded.get(key, 0.0),
        )
        for key in sorted({*decided, *rewarded}, key=lambda key: (-decided[key], key))
        if decided[key] or rewarded.get(key)
    )  # fmt: skip


def _earned(
    watched: Watched,
) -> tuple[dict[tuple[str, ...], float], dict[tuple[str, ...], float]]:
    """Return by policy of how many offers something is known, and their mean weighted reward."""
    reward, rewarded = _left(watched, "reward"), _left(watched, "rewarded")
    weights = watched.most("nextbest_objective_weight", "objective")
    offers: dict[tuple[str, ...], float] = {}
    means: dict[tuple[str, ...], float] = {}
    for (policy, objective), count in rewarded.items():
        key = (policy,)
        # Each objective counts the same offers once more.
        offers[key] = max(count, offers.get(key, 0.0))
        if count > 0:
            mean = weights.get((objective,), 1.0) * reward[policy, objective] / count
            means[key] = means.get(key, 0.0) + mean
    return offers, means


def _left(watched: Watched, name: str) -> Counter[tuple[str, ...]]:
    """Return what was counted by policy and objective, less what was taken back."""
    found = watched.by(f"nextbest_{name}_total", "policy", "objective")
    found.subtract(watched.by(f"nextbest_{name}_taken_back_total", "policy", "objective"))
    return found


def _models(watched: Watched) -> tuple[Model, ...]:
    ages: dict[str, dict[str, list[tuple[float, float | None]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for each in watched.now:
        role = each.label("nextbest_build_info", "role")
        changed = {
            labels.get("objective", ""): at
            for labels, at in each.series("nextbest_model_changed_timestamp_seconds")
        }
        for labels, version in each.series("nextbest_model_version"):
            objective = labels.get("objective", "")
            at = changed.get(objective)
            age = max(0.0, time.time() - at) if at else None
            ages[objective][role].append((version, age))

    def worst(
        found: list[tuple[float, float | None]], pick: Callable[..., float]
    ) -> tuple[float | None, float | None]:
        if not found:
            return None, None
        known = [age for _, age in found if age is not None]
        return pick(version for version, _ in found), max(known, default=None)

    made = []
    for objective, roles in sorted(ages.items()):
        published, published_age = worst(roles["run"], max)
        decides, decides_age = worst(roles["serve"], min)
        made.append(
            Model(
                objective=objective,
                published=published,
                published_age_seconds=published_age,
                decides=decides,
                decides_age_seconds=decides_age,
            )
        )
    return tuple(made)


def _fleet(watched: Watched) -> tuple[Fellow, ...]:
    name = "nextbest_fleet_decisions_total"
    decided, grown = watched.by(name, "member"), watched.grown(name, "member")
    counts = grown if sum(grown.values()) else decided
    total = sum(counts.values())
    pairs = watched.by("nextbest_fleet_trial_pairs", "member")
    gains = watched.by("nextbest_fleet_trial_gain", "member", "bound")
    every = sorted({*decided, *pairs}, key=lambda key: (-decided[key], key))
    return tuple(
        Fellow(
            name=key[0],
            per_second=_per_second(grown[key], watched),
            share=counts[key] / total if total and key in decided else None,
            pairs=pairs.get(key),
            gain=gains.get((*key, "mean")),
            low=gains.get((*key, "low")),
            high=gains.get((*key, "high")),
        )
        for key in every
        if decided[key] or key in pairs
    )
