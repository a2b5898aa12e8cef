"""The shop of ``soak``: as `loop_shop`, but nothing waits or is kept for longer than a minute.

What a run holds is bounded, but with the bounds that users need it fills up for hours or days: a
decision waits until its longest window and the lateness are over, an example can be taken back for
a day more, a record is kept for a day, and of each customer the newest 128 things that happened.
While they fill, memory grows as it should, and a leak could not be told from that. Here all of them
are full within four minutes, before the warm-up is over; what grows then is a leak. How many bytes
each costs is in what `soak_held` counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from nextbest.features import Catalog

from . import loop_shop

catalog = Catalog(name="visits", views=loop_shop.catalog.views, lateness="15s")
TEXT = loop_shop.TEXT.replace("window: 1h", "window: 30s")
PEOPLE = 100
"""Who are offered something: few, so that the newest 128 of each are soon there."""
ENVIRON: Mapping[str, str] = {
    # Half a minute of the log.
    "NEXTBEST_STREAM_RETENTION_SECONDS": "30",
    # A minute of records. The log is trimmed sooner, so they are kept beside it.
    "NEXTBEST_DECISION_SECONDS": "60",
    # Examples can be taken back for so long after attribution has forgotten their decisions.
    "NEXTBEST_APART_SECONDS": "30",
}
