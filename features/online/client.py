"""Looking features up: one round trip, as of now."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import redis
import redis.asyncio

from ..catalog import Catalog
from ..declared import catalog_command, catalogs_command, pick_catalog
from ..errors import SettingsError
from .connections import AsyncConnections, Connections, given, given_async

if TYPE_CHECKING:
    from .answer import Features
    from .choice import Ids
    from .reading import Beside, Command, Reader, Receipts


def now_us() -> int:
    """Return the wall clock, microseconds since 1970, UTC."""
    return time.time_ns() // 1000


class FeatureClient:
    """Looks features up in Redis or Valkey, from any number of threads.

    Parameters
    ----------
    url
        ``redis://…``, ``rediss://…`` or ``unix://…``; or a ``redis.Redis`` that returns bytes.
    catalog
        The declarations, or the name of a catalog that a worker has published in the store; may be
        left out where there is one.
    timeout_seconds
        For connecting, and for each reply; what failed is tried once more, at once.
    clock
        Returns the time in microseconds; default: the wall clock.

    Raises
    ------
    SettingsError
        When the URL is no Redis URL, the client decodes what it reads, or the store has no such
        catalog.
    StoreError
        When the catalog is to be read from a store that is away.

    Examples
    --------
    >>> with FeatureClient("unix:///srv/store.sock") as client:  # doctest: +SKIP
    ...     client.get(["ann"], service="ranking").to_dict("ann")
    {'visits:views': 2, 'visits:last_category': 'shoes'}
    """

    def __init__(
        self,
        url: str | redis.Redis,
        catalog: Catalog | str | None = None,
        *,
        timeout_seconds: float = 5.0,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._connections: Connections | None = None
        self._execute: Any
        if isinstance(url, str):
            self._connections = Connections(url, timeout_seconds)
            self._execute = self._connections.execute
        else:
            self._execute = given(url)
        if not isinstance(catalog, Catalog):
            _check_name(catalog)
            try:
                catalog = pick_catalog(self._execute(catalogs_command()), catalog)
            except BaseException:
                self.close()  # nobody else has a client to close
                raise
        self.catalog = catalog
        self._reader = _reader(catalog, clock)

    def get(
        self,
        ids: Ids,
        *,
        service: str | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
        after: Receipts | None = None,
        wait_seconds: float = 1.0,
    ) -> Features:
        """Return features as of now or of ``at``, in one round trip.

        An unknown id is missing, not zero. A row is never read before its newest event.

        Parameters
        ----------
        ids
            At most 10,000 strings, or tuples of a composite entity's join keys. For features of
            several entities: a mapping of each join key to strings, all equally many.
        service, features
            The name of a service of the catalog, or ``"view:feature"`` and ``"view"``. Default:
            all features.
        at
            Microseconds since 1970, at most a day ahead of the clock: a time to come is answered as
            of then, if nothing happens.
        after
            One receipt or several (text or `Receipt`): events that the answer must show. Only
            customers' rows are waited for.
        wait_seconds
            How long, at most 30; an answer that does not show them then says that it is stale.

        Raises
        ------
        StoreError
            When the store is away.
        RowError
            When a stored row is damaged, or of a declaration that the store does not have.
        DeclarationError
            When there is no such service or feature.
        EventError
            When a text is no receipt.
        SettingsError
            When the ids do not fit the features, a receipt is of none of the customers, or an
            argument is out of its bounds.
        """
        steps = self._reader.read(ids, service, features, at, after, wait_seconds)
        reply: Any = None
        try:
            while True:
                asked = steps.send(reply)
                if isinstance(asked, float):
                    time.sleep(asked)
                    reply = None
                else:
                    reply = self._execute(asked)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # the answer

    def close(self) -> None:
        """Close the connections; a client that was given stays open."""
        if self._connections is not None:
            self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncFeatureClient:
    """As `FeatureClient`, for one event loop: any number of lookups at once.

    A catalog that is to be read from the store is read by `open`, ``async with`` or the first
    lookup. A ``redis.asyncio.Redis`` may stand for the URL.

    Examples
    --------
    >>> async def views(customer: str):
    ...     async with AsyncFeatureClient("unix:///srv/store.sock") as client:
    ...         return (await client.get([customer])).to_dict(customer)
    """

    def __init__(
        self,
        url: str | redis.asyncio.Redis,
        catalog: Catalog | str | None = None,
        *,
        timeout_seconds: float = 5.0,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._connections: AsyncConnections | None = None
        self._execute: Any
        if isinstance(url, str):
            self._connections = AsyncConnections(url, timeout_seconds)
            self._execute = self._connections.execute
        else:
            self._execute = given_async(url)
        self._clock = clock
        self._declared: bytes | None = None
        self._catalog = catalog if isinstance(catalog, Catalog) else None
        self._name = _check_name(catalog) if not isinstance(catalog, Catalog) else catalog.name
        self._reader = _reader(catalog, clock) if isinstance(catalog, Catalog) else None

    @property
    def catalog(self) -> Catalog:
        """The declarations.

        Raises
        ------
        SettingsError
            While they have not been read from the store.
        """
        if self._catalog is None:
            raise SettingsError("the catalog has not been read yet: await open() first")
        return self._catalog

    async def open(self) -> Self:
        """Read the catalog from the store, unless it is known; see `FeatureClient` for errors."""
        if self._reader is None:
            found = pick_catalog(await self._execute(catalogs_command()), self._name)
            if self._reader is None:
                self._catalog, self._reader = found, _reader(found, self._clock)
                self._name = found.name
        return self

    async def newer(self) -> Self | None:
        """Return a client of the catalog as it is in the store now, None if it is the same.

        The new client has this one's connections: close one of them. A catalog that is no longer
        in the store counts as the same.

        Raises
        ------
        StateError
            If what the store has cannot be read.
        StoreError
            When the store is away.
        """
        await self.open()
        name = self.catalog.name
        reply = await self._execute(catalog_command(name))
        if reply is None or reply == self._declared:
            return None
        found = pick_catalog({name.encode(): reply}, name)
        self._declared = reply
        if found == self.catalog:
            return None
        made = copy.copy(self)
        made._catalog, made._reader = found, _reader(found, self._clock)
        return made

    async def get(
        self,
        ids: Ids,
        *,
        service: str | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
        after: Receipts | None = None,
        wait_seconds: float = 1.0,
    ) -> Features:
        """Return features; see `FeatureClient.get`."""
        if self._reader is None:
            await self.open()
        assert self._reader is not None
        found: Features = await self._walk(
            self._reader.read(ids, service, features, at, after, wait_seconds)
        )
        return found

    async def get_beside(
        self,
        customers: Sequence[str],
        beside: Sequence[str],
        *,
        at: int | None = None,
        after: Receipts | None = None,
        wait_seconds: float = 1.0,
    ) -> Beside:
        """Return all of some customers' features, and what other keys hold, in one round trip.

        Parameters
        ----------
        customers
            Their ids.
        beside
            Keys of the store; None is answered for one that is not there.
        at, after, wait_seconds
            See `FeatureClient.get`, as are the errors. After a wait everything is read again.
        """
        if self._reader is None:
            await self.open()
        assert self._reader is not None
        found: Beside = await self._walk(
            self._reader.read_beside(customers, beside, at, after, wait_seconds)
        )
        return found

    async def _walk(self, steps: Generator[Command | float, Any, Any]) -> Any:
        """Do what the steps of a lookup ask for; return what they end with."""
        reply: Any = None
        try:
            while True:
                asked = steps.send(reply)
                if isinstance(asked, float):
                    await asyncio.sleep(asked)
                    reply = None
                else:
                    reply = await self._execute(asked)
        except StopIteration as end:
            return end.value

    async def close(self) -> None:
        """Close the connections; a client that was given stays open."""
        if self._connections is not None:
            await self._connections.close()

    async def __aenter__(self) -> Self:
        try:
            return await self.open()
        except BaseException:
            await self.close()  # what is not entered is not left
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _check_name(catalog: str | None) -> str | None:
    if catalog is not None and not isinstance(catalog, str):
        raise SettingsError(f"catalog={catalog!r:.80} is neither a Catalog nor the name of one")
    return catalog


def _reader(catalog: Catalog, clock: Callable[[], int]) -> Reader:
    # Imported with the first client and not above: it brings the compiler of the kernels.
    from .reading import Reader

    return Reader(catalog, clock)
