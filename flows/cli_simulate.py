"""`nextbest simulate`: policies in a world whose law is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Worlds.", metavar="N")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, help="Of the first world.", metavar="N")] = 0,
    people: Annotated[int, typer.Option(help="Customers of a world.", metavar="N")] = 60,
    days: Annotated[int, typer.Option(help="How long it lasts.", metavar="N")] = 40,
    visits: Annotated[
        float, typer.Option(help="Of a customer a day; each asks for a decision.", metavar="X")
    ] = 2.0,
    actions: Annotated[int, typer.Option(help="That can be offered.", metavar="N")] = 8,
    new_actions: Annotated[
        int, typer.Option(help="How many of them appear only half-way.", metavar="N")
    ] = 2,
    heterogeneity: Annotated[
        float, typer.Option(help="How much customers differ, logits; 0: not at all.", metavar="X")
    ] = 1.0,
    drift: Annotated[
        float, typer.Option(help="The share of all tastes that changes at a time.", metavar="X")
    ] = 0.0,
    drift_at: Annotated[
        float, typer.Option(help="After which share of the days.", metavar="X")
    ] = 0.5,
    policies: Annotated[
        str | None,
        typer.Option(help="Which, between commas.  [default: all]", show_default=False),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Ask this service, in real time: `nextbest serve` and `run` with the world's "
            "strategy.  [key: NEXTBEST_API_KEY]",
            show_default=False,
        ),
    ] = None,
    day_seconds: Annotated[
        float, typer.Option(min=0.1, help="With --url: how long a day is.", metavar="X")
    ] = 2.0,
    cap: Annotated[
        int,
        typer.Option(
            help="With --url: offers of an action a customer a day, at most.", metavar="N"
        ),
    ] = 0,
    refusals: Annotated[
        float, typer.Option(help="With --url: the share of noes that are said.", metavar="X")
    ] = 0.0,
    failing: Annotated[
        float, typer.Option(help="With --url: the share of deliveries that fail.", metavar="X")
    ] = 0.0,
    corrected: Annotated[
        float, typer.Option(help="With --url: the share of yeses taken back.", metavar="X")
    ] = 0.0,
    events: Annotated[
        Path | None,
        typer.Option(help="Only write the events of the first world, NDJSON.", metavar="FILE"),
    ] = None,
    strategy: Annotated[
        Path | None,
        typer.Option(help="Only write the first world's strategy, YAML.", metavar="FILE"),
    ] = None,
) -> None:
    """A world whose law is known: regret of policies against the oracle.

    Customers differ, answer late or never, and new actions appear; policies see what an app sees.
    """
    from .commands.screen import make_console
    from .commands.simulate import Wanted, run_simulation

    wanted = Wanted(
        seeds=range(first_seed, first_seed + seeds), people=people, days=days, visits=visits,
        actions=actions, new_actions=new_actions, heterogeneity=heterogeneity, drift=drift,
        drift_at=drift_at, policies=None if policies is None else policies.split(","), url=url,
        day_seconds=day_seconds, events=events, strategy=strategy, cap=cap, refusals=refusals,
        failing=failing, corrected=corrected,
    )  # fmt: skip
    run_simulation(wanted, make_console())
