"""Arrays with gaps in Feast's answers: words by key, and the greatest of a keyed feature."""

from __future__ import annotations

import pytest
import redis

from nextbest.features import aggregations as agg
from nextbest.features.online import key_prefix
from tests.features.online_cases import send
from tests.laws.cases import START, catalog, row
from tests.laws.driver import Kernels

pytest.importorskip("feast")

from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse

from nextbest.features.feast_plugin.serving import ServedCatalog, ServedRows

WANTED = (("v", "word"), ("v", "top"), ("v", "n"))


def test_a_gap_in_an_array_of_words(store: redis.Redis) -> None:
    declared = catalog(
        agg.last("word", of="word", vocabulary=["x", "y"], by="type", keys=["cart", "view"]),
        agg.sum("spend", of="value", by="word", vocabulary=["x", "y", "z"]),
        agg.top_k("top", "spend", k=3),
        agg.count("n"),
    )
    kernels = Kernels(declared)
    kernels.apply(
        [row(0, word="y", value=2.0), row(1, word="x", value=-1.0), row(1, "z", word="y")]
    )
    send(store, kernels)
    stored = store.mget([key_prefix(declared) + b"ada", key_prefix(declared) + b"nobody"])
    found = kernels.state.read(["ada", "nobody"], START + 1)
    served = ServedRows(found, stored)  # type: ignore[arg-type]  # the client may be asynchronous
    answers = ServedCatalog(kernels.plan)
    words, tops, counts = answers.to_lists(served, WANTED)
    assert (words, tops, counts) == ([["", "y"], None], [["y"], None], [3, None])
    encoded = GetOnlineFeaturesResponse.FromString(answers.encode(served, WANTED))
    lists = [[list(v.string_list_val.val) for v in r.values] for r in encoded.results[:2]]
    assert lists == [[["", "y"], []], [["y"], []]]
