"""How a step of committing becomes a command of the store, and what its refusals mean."""

from __future__ import annotations

from typing import Any

import redis

from ...features.errors import SettingsError
from .committing import Called
from .keys import Keys


def place_of(client_or_url: Any, keys: Keys) -> str:
    """Return what errors of the store name."""
    return client_or_url if isinstance(client_or_url, str) else keys.prefix


def check_bytes(connections: Any) -> None:
    """Refuse connections that decode what they read."""
    if connections.get_encoder().decode_responses:
        raise SettingsError("contacts are bytes: make the client without decode_responses")


def by_sha(step: Called) -> tuple[Any, ...]:
    """Return the command that calls a script by its SHA-1."""
    return ("EVALSHA", step.script.sha, len(step.keys), *step.keys, *step.arguments)


def by_text(step: Called) -> tuple[Any, ...]:
    """Return the command that calls a script, and tells it."""
    return ("EVAL", step.script.text, len(step.keys), *step.keys, *step.arguments)


def unknown_script(error: redis.ResponseError) -> bool:
    """Whether the store has to be told the script."""
    return isinstance(error, redis.exceptions.NoScriptError) or str(error).startswith("NOSCRIPT")


def is_final(error: redis.ConnectionError) -> bool:
    """Whether trying again at once cannot help."""
    return isinstance(error, redis.AuthenticationError | redis.BusyLoadingError)
