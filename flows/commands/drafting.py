"""The text of a first declaration, from what was found in a file."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...features.columns import Columns
from .roles import Property, Roles, identifier

_MOST_TYPES = 4
_MOST_NUMBERS = 3
_MOST_CATEGORIES = 2
_MOST_WORDS = 20
_DEFAULTS = msgspec.structs.asdict(Columns())


def draft(roles: Roles, name: str, file: str, module: str, *, ours: bool) -> str:
    """Write a module with a catalog, and the columns of the file unless they are `ours`.

    Parameters
    ----------
    roles
        What was found.
    name
        What the catalog and its events are called, an identifier.
    file, module
        What the file and the module are called.
    """
    plain = "".join(c if c.isprintable() and c not in '"\\' else "?" for c in file)
    return "\n".join(_lines(roles, name, plain, module, ours)) + "\n"


def _lines(roles: Roles, name: str, file: str, module: str, ours: bool) -> Iterator[str]:
    things = [each for each in roles.properties if each.is_id][:1]
    imported = ["Catalog", "Columns", "Entity", "EventSchema", "FeatureView"]
    imported = [
        each
        for each in imported
        if (each != "Columns" or not ours) and (each != "Entity" or things)
    ]
    several = len(roles.types) > 1
    yield f'"""Features of {file}: a first draft, made to be changed.'
    yield ""
    yield f"After a change: nextbest features validate {module}:catalog"
    yield '"""'
    yield ""
    yield f"from nextbest.features import {', '.join(imported)}"
    yield "from nextbest.features import aggregations as agg"
    if several:
        yield "from nextbest.features import event"
    yield ""
    yield "# What an event may be. Another type, or a property of another kind, is a dead letter."
    yield f"{name} = EventSchema("
    yield f'    "{name}",'
    yield f"    types={_listed([word for word, _ in roles.types])},"
    yield "    properties={"
    yield from (f'        "{each.name}": {each.kind},' for each in roles.properties)
    yield "    },"
    yield ")"
    yield ""
    if not ours:
        yield from _columns(roles, file)
        yield ""
    yield "# One row of features for each customer, as of now whenever it is read."
    yield "customers = FeatureView("
    yield '    name="customers",'
    yield f"    source={name},"
    yield "    features=["
    yield from _features(roles, several)
    yield "        # Next: last, distinct, evidence, formulas (`derived`); a filter with `where=`."
    yield "    ],"
    yield ")"
    yield ""
    for each in things:
        yield "# The same for what events name besides: one row for each."
        yield f"{each.name}s = FeatureView("
        yield f'    name="{each.name}s",'
        yield f"    source={name},"
        yield f'    entity=Entity("{_entity(each)}", ["{each.name}"]),'
        yield "    features=["
        yield '        agg.count("events_1d", window="1d"),'
        yield '        agg.count("events_30d", window="30d"),'
        yield "    ],"
        yield ")"
        yield ""
    views = ", ".join(("customers", *(f"{each.name}s" for each in things)))
    yield f'catalog = Catalog(name="{name}", views=[{views}])'


def _columns(roles: Roles, file: str) -> Iterator[str]:
    yield f"# Which columns of {file} are what; the others are properties of the same name."
    if roles.columns.event_id is None:
        yield "# No column names the event: rows that are equal in every column are one event."
    if roles.ambiguous:
        yield "# Day and month could be the other way round: look at time_format."
    yield "columns = Columns("
    for field, value in msgspec.structs.asdict(roles.columns).items():
        if field == "properties" and value:
            yield "    properties={"
            yield from (f"        {_quoted(k)}: {_quoted(v)}," for k, v in value.items())
            yield "    },"
        elif field in ("customer_id", "event_timestamp") or value != _DEFAULTS[field]:
            if field == "time_zone":
                continue
            yield f"    {field}={_listed(value) if field == 'missing' else _quoted(value)},"
    yield f"    time_zone={_quoted(roles.columns.time_zone)},  # of times that name none"
    yield ")"


def _features(roles: Roles, several: bool) -> Iterator[str]:
    yield '        agg.count("events_30d", window="30d"),'
    yield '        agg.count("events_in_session", window="session"),'
    yield '        agg.time_since("since_last"),'
    if several:
        for word, _ in roles.types[:_MOST_TYPES]:
            name = f"{identifier(word)}_7d"
            yield f'        agg.count("{name}", where=event.type == {_quoted(word)}, window="7d"),'
    for each in [p for p in roles.properties if p.kind == "float"][:_MOST_NUMBERS]:
        yield f'        agg.sum("{each.name}_sum_30d", of="{each.name}", window="30d"),'
        yield f'        agg.mean("{each.name}_mean", of="{each.name}"),'
    for each in [p for p in roles.properties if p.is_category][:_MOST_CATEGORIES]:
        words = sorted(str(word) for word, _ in each.words[:_MOST_WORDS])
        yield "        agg.decayed("
        yield f'            "{each.name}_affinity",'
        yield f'            by="{each.name}",'
        yield f"            vocabulary={_listed(words, 12)},"
        yield '            half_life="30d",'
        yield "        ),"
        yield f'        agg.top_k("{each.name}_favourite", "{each.name}_affinity", k=1),'


def _entity(each: Property) -> str:
    name = each.name.removesuffix("_id")
    return f"{name}_" if name in ("customer", "shard", "model") else name


def _quoted(value: object) -> str:
    text = repr(value)
    if text.startswith("'") and '"' not in text and "\\'" not in text:
        text = f'"{text[1:-1]}"'
    return text


def _listed(words: object, indent: int = 4) -> str:
    assert isinstance(words, list | tuple)
    one = f"[{', '.join(map(_quoted, words))}]"
    if len(one) + indent < 80:
        return one
    lines = [f"{' ' * (indent + 4)}{_quoted(word)}," for word in words]
    return "\n".join(("[", *lines, f"{' ' * indent}]"))
