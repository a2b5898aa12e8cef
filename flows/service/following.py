"""Taking up what workers declare while the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ...features.errors import StoreError
from ...features.online import AsyncFeatureClient

FOLLOW_SECONDS = 2.0
_log = logging.getLogger("nextbest.service")


async def follow(
    client: AsyncFeatureClient,
    take_up: Callable[[AsyncFeatureClient], Awaitable[None]],
    seconds: float = FOLLOW_SECONDS,
) -> None:
    """Look at the store's declaration again and again, until cancelled.

    Parameters
    ----------
    client
        Of a catalog that was read from the store.
    take_up
        Is given the client of a new declaration. If it fails, what was served is served on.
    seconds
        Between two looks.
    """
    newer: AsyncFeatureClient | None = None
    complaint = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            newer = newer or await client.newer()
            if newer is not None:
                await take_up(newer)
                _log.warning("%s: a new declaration is served", newer.catalog.name)
                client, newer = newer, None
            complaint = ""
        except StoreError:
            continue  # lookups say so
        except Exception as error:  # whatever is wrong with it, what is served is served on
            newer = None
            if str(error) != complaint:
                complaint = str(error)
                _log.error("the new declaration is not served: %s", error)
