"""What `nextbest run` is asked to read: what does not go together is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextbest.features import SettingsError
from nextbest.flows.commands.inputs import Job, check_input
from nextbest.flows.settings import Settings


@pytest.mark.parametrize("follow", [False, True])
def test_files_are_not_drained(follow: bool) -> None:
    job = Job(paths=(Path("a.ndjson"),), follow=follow, drain=True, catalog="shop:catalog")
    with pytest.raises(SettingsError, match=r"^--drain goes with --stream and --topic; files end"):
        check_input(job, Settings())


@pytest.mark.parametrize("given", [{"stream": "clicks"}, {"topic": "clicks", "kafka": "b:9092"}])
def test_streams_and_topics_are(given: dict[str, str]) -> None:
    check_input(Job(**given, drain=True, catalog="shop:catalog"), Settings())  # type: ignore[arg-type]
