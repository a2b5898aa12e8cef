"""The strategy of a simulated world, as a marketer would write it, and its variants."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from ..decision.loading import Loaded, load
from .catalog import KINDS, catalog
from .world import Setting, World

Variant = Literal["ours", "shared", "random", "rules", "person", "river"]

_EXPLORATION = "{method: squarecb, gamma: 30, exponent: 0.5}"
_LEARNED = ("ours", "shared", "person")
_SHARED = """\
model:
  contexts: {channel: channel, device: context.device, daypart: context.daypart, last: taste.last}
  numbers: {seen: log1p(taste.views) / 5}
  action_features: {liked: "taste.viewed[action.kind] / (taste.views + 3)"}
"""


def text_of(world: World, variant: Variant = "ours") -> str:
    """Return the YAML of a world's strategy.

    Parameters
    ----------
    world
        Its actions, their values and when they begin.
    variant
        ``shared``: no segments, no weights of a customer's own; ``random``: every action equally
        often; ``rules``: the most valuable action, as nothing is learned; ``river``: 5 % at random.

    Examples
    --------
    >>> from .world import Setting
    >>> print(text_of(World(Setting(actions=2, new_actions=0), 1)))
    name: simulated
    objectives:
      accept: {response: accept, window: 21600000ms, silence_after: 5400000ms}
    channels:
      web: {}
      app: {}
      mail: {direction: outbound}
    actions:
      tea-0: {channels: [web, app, mail], value: 1.26, tags: {kind: tea}}
      coffee-0: {channels: [web, app, mail], value: 1.48, tags: {kind: coffee}}
    model:
      contexts: {channel: channel, device: context.device, daypart: context.daypart, \
last: taste.last}
      numbers: {seen: log1p(taste.views) / 5}
      action_features: {liked: "taste.viewed[action.kind] / (taste.views + 3)"}
      segments: {segment: context.segment}
    exploration: {method: squarecb, gamma: 30, exponent: 0.5}
    fallback: [tea-0]
    <BLANKLINE>
    """
    return "".join(
        [
            "name: simulated\n",
            "objectives:\n",
            _objective(world.setting, variant),
            _channels(world.setting),
            "actions:\n",
            *(_action(world, a) for a in range(len(world.actions))),
            _SHARED,
            "  personal: false\n" if variant == "shared" else "",
            "" if variant == "shared" else "  segments: {segment: context.segment}\n",
            f"exploration: {_exploration(variant)}\n",
            f"fallback: [{world.actions[0]}]\n",
            _rests(world.setting),
        ]
    )


def strategy_of(world: World, variant: Variant = "ours") -> Loaded:
    """Return a world's strategy, checked."""
    return load(text_of(world, variant), catalog)


def _objective(setting: Setting, variant: Variant) -> str:
    window = setting.window_us // 1000
    # The others learn an example once: a yes that comes after its silence would be lost on them.
    early = f", silence_after: {window // 4}ms" if variant in ("ours", "shared") else ""
    return f"  accept: {{response: accept, window: {window}ms{early}}}\n"


def _channels(setting: Setting) -> str:
    blocked = f"blocked_for: {setting.day_us // 2000}ms" if setting.failing else ""
    mail = f"direction: outbound, {blocked}" if blocked else "direction: outbound"
    return f"channels:\n  web: {{{blocked}}}\n  app: {{{blocked}}}\n  mail: {{{mail}}}\n"


def _rests(setting: Setting) -> str:
    if not setting.refusals:
        return ""
    return f"cool_downs: [{{after: refuse, pause: {setting.day_us // 2000}ms}}]\n"


def _action(world: World, a: int) -> str:
    more = ""
    if world.setting.cap:
        more = f", caps: [{{most: {world.setting.cap}, per: {world.setting.day_us // 1000}ms}}]"
    if world.begins[a] > world.setting.start:
        when = datetime.fromtimestamp(int(world.begins[a]) // 1_000_000, UTC)
        more += f', valid_from: "{when.isoformat()}"'
    return (
        f"  {world.actions[a]}: {{channels: [web, app, mail], value: {world.values[a]}, "
        f"tags: {{kind: {KINDS[world.kinds[a]]}}}{more}}}\n"
    )


def _exploration(variant: Variant) -> str:
    if variant in _LEARNED:
        return _EXPLORATION
    if variant == "rules":
        return "{method: greedy}"
    return f"{{method: epsilon, epsilon: {1.0 if variant == 'random' else 0.05}}}"
