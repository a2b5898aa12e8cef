"""Feast's Redis online store, and in it the computed views: never stale, read as of now.

    online_store:
        type: nextbest.features.feast_plugin.online_store.NextbestOnlineStore
        connection_string: unix:///srv/shop/.nextbest/valkey/server.sock

Ordinary views are Feast's business: they are written and read as the stock store does. A computed
view's values are read from the customer's packed row, which the workers publish.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from feast import Entity, FeatureService, FeatureView, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.registry.base_registry import BaseRegistry
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pydantic import PositiveFloat, StrictStr, field_validator, model_validator

from . import connection
from .direct import DirectPlan, DirectPlans, DirectResponse, Keys
from .errors import ComputedViewError
from .lookup import Lookup, ReadRow, plan_lookups
from .request import asked, current_request, timed
from .response import ComputedResponse
from .source import source_of

if TYPE_CHECKING:
    from .serving import Command, ServedRows

_Steps: TypeAlias = "Generator[Command, Any, ServedRows]"
_FeastRow = tuple[EntityKey, dict[str, Value], dt.datetime, dt.datetime | None]


class NextbestOnlineStoreConfig(RedisOnlineStoreConfig):
    """Options of the store; those of Feast's ``redis`` apply too.

    Attributes
    ----------
    connection_string
        ``unix://…``, ``redis://…`` or ``rediss://…``, or Feast's ``host:port,key=value``. Write
        ``${NEXTBEST_REDIS_URL}`` to keep a password out of the file.
    timeout_seconds
        How long to wait for an answer of the store, with a URL. Default 10.
    """

    # Feast tells its stores apart by this literal, and has them override it.
    type: Literal["nextbest.features.feast_plugin.online_store.NextbestOnlineStore"] = (
        "nextbest.features.feast_plugin.online_store.NextbestOnlineStore"  # type: ignore[assignment]
    )
    connection_string: StrictStr = "localhost:6379"
    timeout_seconds: PositiveFloat = 10.0

    @field_validator("connection_string")
    @classmethod
    def _check_connection_string(cls, given: str) -> str:
        try:
            return connection.check(given)
        except ValueError as error:
            raise connection.refusal(str(error), given) from None

    @model_validator(mode="after")
    def _check_kind(self) -> NextbestOnlineStoreConfig:
        given = self.connection_string
        if self.redis_type.value == "redis_cluster":
            why = "redis_type: the rows of all customers are in one server or sentinel"
            raise connection.refusal(why, given)
        if connection.is_url(given) and self.client.value != "redis":
            why = f"client: {self.client.value} needs host:port, not a URL"
            raise connection.refusal(why, given)
        return self


class NextbestOnlineStore(RedisOnlineStore):
    """Answers for computed views as of now, and for all others as Feast does.

    Every value has its true status: ``PRESENT``; ``NULL_VALUE`` where there is none;
    ``OUTSIDE_MAX_AGE`` where the session has ended or the ttl is over; ``NOT_FOUND`` for a
    customer that the store does not know. The event timestamp is that of the customer's newest
    event. Features of computed views come in the order in which they were asked for.

    Raises
    ------
    StoreAwayError
        The store does not answer.
    IdError
        An id is no text.
    RowError
        A row is damaged or of another declaration; the message names the customer.
    RegistryError
        The registry was applied by a version of nextbest that reads rows otherwise.
    ComputedViewError
        Something was asked that has no meaning for a computed view, such as writing to it.
    """

    _direct_plans: DirectPlans | None = None

    def __init__(self) -> None:
        super().__init__()
        self._async_clients: dict[asyncio.AbstractEventLoop, Any] = {}

    def get_online_features(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: list[dict[str, Any]] | Mapping[str, Any],
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """Answer a lookup, keeping the order of the features that were asked for."""
        direct = self._direct(features, entity_rows, registry, project, full_feature_names)
        if direct is not None and not include_feature_view_version_metadata:
            plan, keys = direct
            with timed():
                rows = self._run(config, plan.catalog.lookup(keys.texts))
            return DirectResponse(plan, keys, rows)
        with asked(features, registry, project, full_feature_names) as request:
            answer = super().get_online_features(
                config, features, entity_rows, registry, project, full_feature_names,
                include_feature_view_version_metadata,
            )  # fmt: skip
        return ComputedResponse(answer, request.columns) if request.columns else answer

    async def get_online_features_async(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: list[dict[str, Any]] | Mapping[str, Any],
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """Answer a lookup, as `get_online_features`."""
        direct = self._direct(features, entity_rows, registry, project, full_feature_names)
        if direct is not None and not include_feature_view_version_metadata:
            plan, keys = direct
            with timed():
                rows = await self._run_async(config, plan.catalog.lookup(keys.texts))
            return DirectResponse(plan, keys, rows)
        with asked(features, registry, project, full_feature_names) as request:
            answer = await super().get_online_features_async(
                config, features, entity_rows, registry, project, full_feature_names,
                include_feature_view_version_metadata,
            )  # fmt: skip
        return ComputedResponse(answer, request.columns) if request.columns else answer

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        join_key_values: dict[str, list[Value]],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: GetOnlineFeaturesResponse,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        request = current_request()
        lookups, others = plan_lookups(
            grouped_refs, join_key_values, entity_name_to_join_key_map, request.order
        )
        for lookup in lookups:
            request.columns |= lookup.answer(
                self._run(config, lookup.read()), online_features_response, full_feature_names,
                include_feature_view_version_metadata,
            )  # fmt: skip
        if others:
            super()._read_features_per_fv(
                config, others, join_key_values, entity_name_to_join_key_map,
                online_features_response, full_feature_names,
                include_feature_view_version_metadata,
            )  # fmt: skip

    async def _read_features_per_fv_async(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        join_key_values: dict[str, list[Value]],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: GetOnlineFeaturesResponse,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        request = current_request()
        lookups, others = plan_lookups(
            grouped_refs, join_key_values, entity_name_to_join_key_map, request.order
        )
        for lookup in lookups:
            request.columns |= lookup.answer(
                await self._run_async(config, lookup.read()), online_features_response,
                full_feature_names, include_feature_view_version_metadata,
            )  # fmt: skip
        if others:
            await super()._read_features_per_fv_async(
                config, others, join_key_values, entity_name_to_join_key_map,
                online_features_response, full_feature_names,
                include_feature_view_version_metadata,
            )  # fmt: skip

    @staticmethod
    def _build_feature_types(grouped_refs: list[tuple[FeatureView, list[str]]]) -> dict[str, Any]:
        # They tell apart what Feast stores in one form, such as a UUID and a string. Nothing that
        # is computed is of such a type, and collecting them takes long.
        ordinary = [refs for refs in grouped_refs if source_of(refs[0]) is None]
        return RedisOnlineStore._build_feature_types(ordinary)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[ReadRow]:
        """Read one view's features, as Feast's lower-level contract wants them."""
        if source_of(table) is None:
            return super().online_read(config, table, entity_keys, requested_features)
        lookup = Lookup.of_keys(table, entity_keys, requested_features)
        return lookup.rows(self._run(config, lookup.read()))

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[ReadRow]:
        """Read one view's features, as `online_read`."""
        if source_of(table) is None:
            return await super().online_read_async(config, table, entity_keys, requested_features)
        lookup = Lookup.of_keys(table, entity_keys, requested_features)
        return lookup.rows(await self._run_async(config, lookup.read()))

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[_FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write to an ordinary view; a computed one is refused."""
        _refuse_write(table)
        super().online_write_batch(config, table, data, progress)

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[_FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write to an ordinary view; a computed one is refused."""
        _refuse_write(table)
        await super().online_write_batch_async(config, table, data, progress)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Follow the registry; customers' rows are the workers' and stay."""
        super().update(
            config, _ordinary(tables_to_delete), _ordinary(tables_to_keep), entities_to_delete,
            entities_to_keep, partial,
        )  # fmt: skip

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        """Delete what ordinary views stored; customers' rows are the workers' and stay."""
        super().teardown(config, _ordinary(tables), entities)

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        url = online_store_config.connection_string
        if self._client is None and connection.is_url(url):
            self._client = connection.client(url, _seconds(online_store_config))
        return super()._get_client(online_store_config)

    async def _get_client_async(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        # A connection belongs to the event loop that made it, and a process may have several.
        loop = asyncio.get_running_loop()
        found = self._async_clients.get(loop)
        if found is None:
            for other in [each for each in self._async_clients if each.is_closed()]:
                self._async_clients.pop(other, None)
            url = online_store_config.connection_string
            if connection.is_url(url):
                found = connection.async_client(url, _seconds(online_store_config))
            else:  # a store of Feast's makes one client and keeps it
                found = await RedisOnlineStore()._get_client_async(online_store_config)
            self._async_clients[loop] = found
        return found

    async def close(self) -> None:
        """Close the connections of the running event loop; the next lookup makes new ones."""
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        await super().close()

    def _direct(
        self,
        features: list[str] | FeatureService,
        entity_rows: list[dict[str, Any]] | Mapping[str, Any],
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool,
    ) -> tuple[DirectPlan, Keys] | None:
        """Say how to answer without Feast, if that can be."""
        if self._direct_plans is None:
            self._direct_plans = DirectPlans()
        plan = self._direct_plans.find(features, registry, project, full_feature_names)
        keys = None if plan is None else plan.keys(entity_rows)
        return None if plan is None or keys is None else (plan, keys)

    def _run(self, config: RepoConfig, steps: _Steps) -> ServedRows:
        """Send the commands that reading rows takes, and return what was read."""
        reply: Any = None
        try:
            while True:
                command = steps.send(reply)
                with connection.store_errors(config.online_store.connection_string):
                    reply = self._get_client(config.online_store).execute_command(*command)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # the rows

    async def _run_async(self, config: RepoConfig, steps: _Steps) -> ServedRows:
        """Do as `_run`."""
        reply: Any = None
        try:
            while True:
                command = steps.send(reply)
                with connection.store_errors(config.online_store.connection_string):
                    client = await self._get_client_async(config.online_store)
                    reply = await client.execute_command(*command)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # the rows


def _seconds(config: RedisOnlineStoreConfig) -> float:
    assert isinstance(config, NextbestOnlineStoreConfig)
    return config.timeout_seconds


def _refuse_write(table: FeatureView) -> None:
    if source_of(table) is not None:
        raise ComputedViewError(
            f"{table.name} is computed from events and cannot be written: publish the events "
            "instead"
        )


def _ordinary(tables: Sequence[FeatureView]) -> list[FeatureView]:
    return [table for table in tables if source_of(table) is None]
