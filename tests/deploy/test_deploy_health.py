"""Health checks ask the container itself, not a proxy that the environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.deploy import dockerfile

STAGES = dockerfile.read(Path(__file__).parents[2] / "deploy" / "Dockerfile")


@pytest.fixture
def port() -> Iterator[int]:
    """Where something answers as a service or a worker does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in ("/readyz", "/metrics") else 404)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("target", ["service", "worker"])
def test_a_proxy_is_not_asked(target: str, port: int) -> None:
    _, flag, code = dockerfile.command(STAGES, target, "HEALTHCHECK")
    away = "http://127.0.0.1:9"
    env = {**os.environ, "NEXTBEST_METRICS_PORT": str(port), "http_proxy": away, "no_proxy": ""}
    done = subprocess.run(
        [sys.executable, flag, code.replace(":8080/", f":{port}/")],
        env=env, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
