"""Which strategy decides: the file's or the store's, as it is now, with the newest models."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from nextbest.features import Catalog, FeatureView
from nextbest.features import aggregations as agg
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import new_learner, publish
from nextbest.learners import Stamp
from tests.flows.service import shop
from tests.flows.service.loop_cases import KEYS, TEXT, decide, deciding, problem, until
from tests.flows.service.world import command, declare, put_rows, served

ASKED = {"customer": "ann", "channel": "web"}
OTHER = TEXT.replace("value: 2, tags", "value: 99, tags").replace("title: Tea", "title: More tea")


def title(client: httpx.Client) -> str:
    found = decide(client, "ann", channel="mail")
    shown: str = found["offers"][0]["content"]["title"]
    return shown


def test_a_changed_file_is_taken_up_and_a_wrong_one_is_not(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    home = tmp_path / "home"
    file = home / "strategy.yaml"
    with deciding(store_url, home) as service, httpx.Client(base_url=service.url) as client:
        first = decide(client, "ann", channel="mail")
        assert first["offers"][0]["content"]["title"] == "Tea"
        replace(file, OTHER)
        until(lambda: title(client) == "More tea")
        replace(file, OTHER.replace("visits.spend > 5", "visits.spent > 5"))
        said = tmp_path / "home.err"
        until(lambda: "not taken up" in said.read_text())
        assert "strategy.yaml: a fault in the strategy\nline 14: actions.gold" in said.read_text()
        assert title(client) == "More tea"
        file.unlink()
        until(lambda: "No such file" in said.read_text())
        assert title(client) == "More tea"
        replace(file, TEXT)
        until(lambda: title(client) == "Tea")
        # The versions that decided are kept: each decision can be made again.
        why = client.get(f"/v1/decisions/{first['decision_id']}/why").json()
        assert why["reproduced"] is True
        with redis.Redis.from_url(store_url) as store:
            assert store.exists(*(KEYS.version(load(t).version) for t in (TEXT, OTHER))) == 2


def test_a_file_of_another_name_is_not_taken_up(store_url: str, tmp_path: Path) -> None:
    """Its caps would begin anew, and what came of decisions would be lost."""
    put_rows(store_url)
    home = tmp_path / "home"
    with deciding(store_url, home) as service, httpx.Client(base_url=service.url) as client:
        replace(home / "strategy.yaml", OTHER.replace("name: spring", "name: summer"))
        said = tmp_path / "home.err"
        until(lambda: "its name is 'summer', but 'spring' is served" in said.read_text())
        assert title(client) == "Tea"
        replace(home / "strategy.yaml", OTHER)
        until(lambda: title(client) == "More tea")


def test_a_file_that_is_being_written_is_waited_for(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    file = tmp_path / "home" / "strategy.yaml"
    half, whole = (f"{TEXT}description: half\n", f"{OTHER}description: half a strategy, whole\n")
    with deciding(store_url, tmp_path / "home") as service:
        for _ in range(12):  # a second lies between two looks
            file.write_text(half)
            time.sleep(0.4)
            file.write_text(whole)
            time.sleep(0.1)
        with httpx.Client(base_url=service.url) as client:
            until(lambda: title(client) == "More tea")
        with redis.Redis.from_url(store_url) as store:
            assert not store.exists(KEYS.version(load(half).version))
            assert store.exists(KEYS.version(load(whole).version))


def replace(file: Path, text: str) -> None:
    new = file.with_name("new")
    new.write_text(text)
    os.replace(new, file)


def test_the_store_is_followed_where_no_file_is_given(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    with served(store_url, tmp_path / "follower") as one, httpx.Client(base_url=one.url) as client:
        problem(client.post("/v1/decide", json=ASKED), 404, "no-strategy")
        problem(client.get("/v1/customers/ann"), 404, "no-strategy")
        with deciding(store_url, tmp_path / "leader"):
            until(lambda: client.post("/v1/decide", json=ASKED).status_code == 200)
            assert title(client) == "Tea"
            replace(tmp_path / "leader" / "strategy.yaml", OTHER)
            until(lambda: title(client) == "More tea")


def test_a_new_declaration_is_decided_by(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    home = tmp_path / "home"
    wider = Catalog(
        name="shop",
        views=[
            *shop.customers.views,
            FeatureView(name="more", source=shop.shop, features=[agg.count("gifts")]),
        ],
    )
    with redis.Redis.from_url(store_url) as store:
        declare(store, Catalog(name="shop", views=shop.customers.views))
        with (
            deciding(store_url, home, catalog=None) as service,
            httpx.Client(base_url=service.url) as client,
        ):
            assert title(client) == "Tea"
            # What the file needs is not declared yet.
            new = OTHER.replace("value: 99, tags", 'eligible: "more.gifts >= 0 or true", tags')
            replace(home / "strategy.yaml", new)
            said = tmp_path / "home.err"
            until(
                lambda: "no feature view 'more'" in said.read_text() or "more" in said.read_text()
            )
            assert title(client) == "Tea"
            declare(store, wider)
            until(lambda: title(client) == "More tea")
            found = client.get("/v1/customers/ann").json()
            assert "more:gifts" in {one["name"] for one in found["features"]}
            assert decide(client, "ann")["fallback"] is None


def test_a_store_that_lost_the_strategy_is_told_again(store_url: str, tmp_path: Path) -> None:
    with deciding(store_url, tmp_path / "home"), redis.Redis.from_url(store_url) as store:
        until(lambda: store.exists(KEYS.current()))
        store.flushall()
        until(lambda: store.exists(KEYS.current()))
        assert store.smembers(KEYS.all_strategies()) == {b"spring"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT.replace("greedy", "greddy"), "line 21: exploration.method"),
        (TEXT.replace("name: spring", "name: customer"), "cannot be called 'customer'"),
        (None, "No such file or directory"),
    ],
    ids=["a-fault", "an-entitys-name", "no-file"],
)
def test_a_wrong_file_at_the_start_is_said_in_one_line(
    store_url: str, tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "s.yaml"
    if text is not None:
        file.write_text(text)
    started = command(store_url, tmp_path, "--strategy", str(file))
    done = subprocess.run(started, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{file}: " in done.stderr
    assert said in done.stderr


def taught(n: int, *, learns: bool = False, stamp: Stamp | None = None) -> bytes:
    """A model of n outcomes, of which tea's were bad and mug's good; as it is served or learns."""
    learner = new_learner(load(TEXT).strategy.model)
    for name in ("tea", "mug"):
        learner.model.add_arm(name)
    for i in range(n):
        context: dict[str, Any] = {"page": "home", "spend": 1.0}
        learner.learn(context, [[0.0], [1.0]], i % 2, float(i % 2))
    return learner.to_bytes() if learns else publish(learner).stamped(stamp).to_bytes()


def test_models_are_followed_and_what_is_damaged_is_not_taken_up(
    store_url: str, tmp_path: Path
) -> None:
    put_rows(store_url)
    with (
        deciding(store_url, tmp_path / "home") as service,
        httpx.Client(base_url=service.url) as client,
        redis.Redis.from_url(store_url) as store,
    ):

        def models() -> Any:
            found = decide(client, "ben", channel="shut")
            return client.get(f"/v1/decisions/{found['decision_id']}/why").json()["models"]

        assert models() == {"accept": 0, "spend": 0}
        # None could ever be used: the declared fallback, and that is logged.
        store.set(KEYS.model("accept"), b"no model")
        until(lambda: decide(client, "ann", channel="mail")["fallback"] is not None)
        found = decide(client, "ann", channel="mail")
        assert "objective 'accept'" in found["fallback"]
        assert found["receipt"] is not None
        store.set(KEYS.model("accept"), taught(40))
        until(lambda: models() == {"accept": 40, "spend": 0})
        store.set(KEYS.model("spend"), taught(60, learns=True))
        until(lambda: models() == {"accept": 40, "spend": 60})
        found = decide(client, "ann", n=2, context={"page": "home"})
        assert [offer["action"] for offer in found["offers"]] == ["mug", "tea"]
        store.set(KEYS.model("accept"), taught(40)[:-40])
        said = tmp_path / "home.err"
        until(lambda: said.read_text().count("a model is not taken up") == 2)
        assert models() == {"accept": 40, "spend": 60}
        assert decide(client, "ann")["fallback"] is None
        # Of one timeline none goes back; until another begins.
        store.set(KEYS.model("accept"), taught(50, stamp=Stamp("0" * 16, 7)))
        until(lambda: models() == {"accept": 50, "spend": 60})
        store.set(KEYS.model("accept"), taught(20, stamp=Stamp("0" * 16, 6)))
        until(lambda: "'accept': an older model than the one that is served" in said.read_text())
        assert models() == {"accept": 50, "spend": 60}
        store.set(KEYS.model("accept"), taught(20, stamp=Stamp("1" * 16, 6)))
        until(lambda: models() == {"accept": 20, "spend": 60})


def test_keys_are_needed_here_too(store_url: str, tmp_path: Path) -> None:
    with deciding(store_url, tmp_path / "home", NEXTBEST_API_KEYS="k", text=TEXT) as service:
        for path in ("/v1/customers/ann", "/v1/decisions/x/why"):
            problem(httpx.get(service.url + path), 401, "unauthorized")
        for path in ("/v1/decide", "/v1/outcomes"):
            problem(httpx.post(service.url + path, json=ASKED), 401, "unauthorized")
        key = {"x-api-key": "k"}
        assert httpx.post(f"{service.url}/v1/decide", json=ASKED, headers=key).status_code == 200
