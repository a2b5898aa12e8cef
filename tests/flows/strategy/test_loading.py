"""Every fault of a strategy is told at once, with its line, its path and the reason."""

from __future__ import annotations

import pytest

from nextbest.features.errors import SettingsError
from nextbest.flows.decision.errors import StrategyError
from nextbest.flows.decision.loading import load, version
from tests.flows.strategy.shop import EXAMPLE, LEAST, catalog


def faults(text: str, *, checked: bool = True) -> list[str]:
    with pytest.raises(StrategyError) as caught:
        load(text, catalog if checked else None)
    return [str(fault) for fault in caught.value.faults]


def one(text: str) -> str:
    found = faults(text)
    assert len(found) == 1, found
    return found[0].partition(": ")[2]


def test_the_example_is_read() -> None:
    loaded = load(EXAMPLE, catalog)
    strategy = loaded.strategy
    assert list(strategy.actions) == ["shoes_sale", "hats_new", "help"]
    assert strategy.objectives["refusal"].weight == -0.2
    assert strategy.actions["help"].value == {"conversion": 5.0, "refusal": 1.0}
    assert strategy.actions["hats_new"].valid_from == "2026-01-01"
    assert loaded.text == EXAMPLE
    assert loaded.version == load(EXAMPLE).version == version(strategy)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("zone: Mars/Olympus", "zone: no time zone 'Mars/Olympus', such as Europe/Berlin"),
        ("zone: ../etc/passwd", "zone: no time zone '../etc/passwd', such as Europe/Berlin"),
        ("fallbak: [shoes]", "fallbak: no such key; did you mean 'fallback'?"),
        ("name: again", "name: stands twice: first in line 2"),
        ("fallback: [shose]", "fallback[0]: no action 'shose'; did you mean 'shoes'?"),
        ("fallback: [hats, hats]", "fallback[1]: 'hats' stands twice"),
        ("fallback: hats", "fallback: a list is needed, not 'hats'"),
        ("caps: [{most: 1.5, per: 1d}]", "caps[0].most: a whole number is needed, not '1.5'"),
        ("caps: [{most: 1}]", "caps[0].per: is missing"),
        ("caps: [{most: 1001, per: 1d}]", "caps[0].most: 1001 is not at most 1000"),
        ("caps: [{most: 1, per: 0d}]", "caps[0].per: '0d' is not a positive duration"),
        ("caps: [{most: 1, per: 1000w}]", "caps[0].per: '1000w' is more than ten years"),
        ("caps: [{most: 1, per: soon}]",
         "caps[0].per: 'soon': a duration is such as 30m, 1h or 7d"),
        ("caps: [3]", "caps[0]: keys with values are needed, not '3'"),
        ("cool_downs: [{pause: 1d, of: brand}]",
         "cool_downs[0].of: no tag 'brand'; there are: action, all, category"),
        ("cool_downs: [{pause: 1d, of: id}]",
         "cool_downs[0].of: no tag 'id'; there are: action, all, category"),
        ("suppress: [{when: 'true', tags: {id: shoes}}]",
         "suppress[0].tags.id: no tag 'id'; there are: category"),
        ("control: {share: 1.5}", "control.share: 1.5 is not at most 1"),
        ("control: {share: yes}", "control.share: a number is needed, not 'yes'"),
        ("control: {share: .nan}", "control.share: a number is needed, not '.nan'"),
        ("control: {actions: [tea]}",
         "control.actions[0]: no action 'tea'; there are: shoes, hats"),
        ("exploration: {method: thompson}",
         "exploration.method: no 'thompson'; there are: epsilon, greedy, squarecb"),
        ("exploration: {gamma: 0}", "exploration.gamma: 0 is not more than 0"),
        ("credit: none", "credit: no 'none'; there are: all, first, last"),
        ("suppress: [{reason: why}]", "suppress[0].when: is missing"),
        ("suppress: [{when: 'true', actions: [tea]}]",
         "suppress[0].actions[0]: no action 'tea'; there are: shoes, hats"),
        ("boosts: [{when: 'true', times: 2, tags: {category: hat}}]",
         "boosts[0].tags.category: no action whose category is 'hat'; did you mean 'hats'?"),
        ("suppress: [{when: visits.views > > 3}]",
         "suppress[0].when: at 16: a value is expected, not '>': visits.views > »> 3"),
        ("boosts: [{when: visits.vews > 3, times: 2}]",
         "boosts[0].when: at 1: no feature 'vews' in visits; did you mean 'views'?: "
         "»visits.vews > 3"),
        ("model: {numbers: {a: visits.recent}}",
         "model.numbers.a: at 1: a text, where a number is needed: »visits.recent"),
        ("model: {contexts: {a: action.id}}",
         "model.contexts.a: at 1: action.id: there is no action here: »action.id"),
        ("model: {segments: {a: now.hour}}",
         "model.segments.a: at 1: a number, where a text is needed: »now.hour"),
        ("model: {contexts: {a: channel}, numbers: {a: now.hour}}",
         "model.numbers.a: there is one of that name among the contexts"),
        ("model: {contexts: {3a: channel}}",
         "model.contexts.3a: '3a': a name is letters, digits, _ and -, at most 64, and begins with "
         "a letter or _"),
        ("triggers: {t: {event: leave, channel: web}}",
         "triggers.t.channel: 'web' is not outbound"),
        ("triggers: {t: {event: left, channel: email}}",
         "triggers.t.event: no event type 'left'; there are: visit, view, cart, purchase, leave"),
        ("triggers: {t: {event: leave, channel: email, within: 2h}}",
         "triggers.t.within: '2h' is more than 1h: so late, caps are not sure"),
        ("triggers: {t: {event: leave, channel: email, within: 0s}}",
         "triggers.t.within: '0s' is not a positive duration"),
        ("triggers: {t: {event: leave, channel: email, when: context.a > 1}}",
         "triggers.t.when: at 1: context.a: there is no context here: »context.a > 1"),
    ],
    ids=lambda item: item[:40],
)  # fmt: skip
def test_a_fault_is_told(part: str, reason: str) -> None:
    assert one(LEAST + part) == reason


OBJECTIVE = "{response: convert}"
OUTBOUND = "{direction: outbound}"
ACTION = "{channels: [web], tags: {category: hats}}"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (OUTBOUND, "{direction: outbound, otherwise: [web]}",
         "channels.email.otherwise[0]: 'web' is not outbound"),
        (OUTBOUND, "{direction: outbound, otherwise: [sms]}",
         "channels.email.otherwise[0]: no channel 'sms'; there are: web, email"),
        (OUTBOUND, "{direction: outbound, otherwise: [email]}",
         "channels.email.otherwise[0]: 'email' is the channel itself"),
        ("web: {}", "web: {otherwise: [email]}",
         "channels.web.otherwise: 'web' is inbound: nothing is delivered through it"),
        (OBJECTIVE, "{}", "objectives.buy: give `response` or `event`, one of the two"),
        (OBJECTIVE, "{response: a, event: view}",
         "objectives.buy: give `response` or `event`, not both"),
        (OBJECTIVE, "{response: a, where: event.value > 1}",
         "objectives.buy.where: it is of an event: give `event`"),
        (OBJECTIVE, "{response: a, window: 1h, silence_after: 61m}",
         "objectives.buy.silence_after: it is longer than the window, 1h"),
        (OBJECTIVE, "{response: a, silence_after: soon}",
         "objectives.buy.silence_after: 'soon': a duration is such as 30m, 1h or 7d"),
        (OBJECTIVE, "{response: a, range: [1, 1]}",
         "objectives.buy.range: from 1 to 1 there is nothing"),
        (OBJECTIVE, "{response: a, range: [1]}", "objectives.buy.range: a list of 2 is needed"),
        (OBJECTIVE, "{event: buy}", "objectives.buy.event: no event type 'buy'; there are: visit, "
         "view, cart, purchase, leave"),
        (OBJECTIVE, "{event: purchase, value: device}", "objectives.buy.value: no property that "
         "is a number 'device'; there are: value, member"),
        (OBJECTIVE, "{event: purchase, where: event.category == action.colour}",
         "objectives.buy.where: at 19: no action has the tag 'colour'; there are: id, category: "
         "event.category == »action.colour"),
        (ACTION, "{channels: []}", "actions.hats.channels: at least 1 of its items is needed"),
        (ACTION, "{}", "actions.hats.channels: is missing"),
        (ACTION, "", "actions.hats.channels: is missing"),
        (ACTION, "{channels: [wbe]}",
         "actions.hats.channels[0]: no channel 'wbe'; did you mean 'web'?"),
        (ACTION, "{channels: [web], value: {by: 1}}",
         "actions.hats.value.by: no objective 'by'; did you mean 'buy'?"),
        (ACTION, "{channels: [web], value: much}",
         "actions.hats.value: a number or keys with values is needed, not 'much'"),
        (ACTION, "{channels: [web], value: 1e10}",
         "actions.hats.value: 1e+10 is not at most 1e+09"),
        (ACTION, "{channels: [web], valid_from: soon}", "actions.hats.valid_from: 'soon' is not a "
         "date such as 2026-01-31, or a time such as 2026-01-31T08:00:00Z"),
        (ACTION, "{channels: [web], valid_from: 2026-02-30}", "actions.hats.valid_from: "
         "'2026-02-30' is not a date such as 2026-01-31, or a time such as 2026-01-31T08:00:00Z"),
        (ACTION, "{channels: [web], valid_from: 2026-01-02, valid_until: 2026-01-02}",
         "actions.hats.valid_until: it is not later than valid_from"),
        (ACTION, "{channels: [web], tags: {id: a}}",
         "actions.hats.tags.id: every action has 'id' without a tag"),
        (ACTION, "{channels: [web], content: {a: [1]}}",
         "actions.hats.content.a: a text or a whole "
         "number or a number or true or false is needed, not a list"),
    ],
    ids=lambda item: item[:40],
)  # fmt: skip
def test_a_fault_of_a_part_is_told(old: str, new: str, reason: str) -> None:
    assert one(LEAST.replace(old, new)) == reason


def test_what_came_later_changes_no_version() -> None:
    """Else no decision that was logged before could be explained."""
    text = LEAST + "triggers: {t: {event: leave, channel: email}}\n"
    assert [load(LEAST).version, load(text).version] == ["31ed6349f5a3289d", "6271be912622f54d"]
    same = text.replace("channel: email}", "channel: email, within: 10m}")
    assert load(same).version == load(text).version
    others = load(text.replace("{direction: outbound}", "{direction: outbound, otherwise: []}"))
    assert others.version != load(text).version != load(same.replace("10m", "9m")).version


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        LEAST.replace("[web, email]", "[wbe]").replace("offers", "1st")
        + "zone: Mars\nsuppress:\n- when: (\n- {when: 'true', tags: {categry: hats}}\n"
    )
    assert [fault.split(":")[0] for fault in found] == [
        "line 2", "line 9", "line 11", "line 13", "line 14"
    ]  # fmt: skip


def test_without_a_catalog_its_names_are_not_checked() -> None:
    text = LEAST + "suppress:\n- when: a.b > 3 and c.d[e] == 'x'"
    assert load(text).strategy.suppress[0].when == "a.b > 3 and c.d[e] == 'x'"
    assert one(text).startswith("suppress[0].when: at 1: no view 'a' of the customer")


def test_the_error_is_a_settings_error_and_lists_all() -> None:
    with pytest.raises(SettingsError) as caught:
        load("name: 1st\nzone: Mars\n")
    assert str(caught.value).splitlines()[0] == "5 faults in the strategy"
    assert "line 2: zone: no time zone 'Mars', such as Europe/Berlin" in str(caught.value)


def test_a_word_stays_a_word() -> None:
    """YAML would read no as false, and 12 as a number."""
    strategy = load(LEAST.replace("category: hats", "category: no, size: 12")).strategy
    assert strategy.actions["hats"].tags == {"category": "no", "size": "12"}
    content = "content: {a: 1, b: 1.5, c: 'true', d: true, e: null, f: no}"
    action = load(LEAST.replace("tags: {category: hats}", content)).strategy.actions["hats"]
    assert action.content == {"a": 1, "b": 1.5, "c": "true", "d": True, "e": None, "f": "no"}
    assert [type(value) for value in action.content.values()][:3] == [int, float, str]


def test_a_strategy_is_not_called_as_an_entity_is() -> None:
    """Their keys in the store would mix."""
    text = LEAST.replace("name: offers", "name: customer")
    assert load(text).strategy.name == "customer"
    with pytest.raises(StrategyError) as caught:
        load(text, catalog)
    (fault,) = caught.value.faults
    assert (fault.line, fault.path) == (text[: text.index("name:")].count("\n") + 1, "name")
    assert "cannot be called 'customer', as an entity is" in fault.reason
