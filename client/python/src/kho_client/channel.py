"""Mutual TLS and HTTP/2 towards one listener of one node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from google.protobuf import message_factory

from ._wire import store_pb2
from .errors import ConfigError, excerpt
from .timing import KEEPALIVE_MS, MESSAGE_BYTES_MAX, RECONNECT_MS

_METHODS = store_pb2.DESCRIPTOR.services_by_name["Store"].methods_by_name
_OPTIONS = [
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # attempts are ours to make: which are safe, and what they prove, gRPC can't know
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", 10 * RECONNECT_MS),
    # of TCP and TLS, too
    ("grpc.min_reconnect_backoff_ms", 10 * RECONNECT_MS),
    # a connection of this client's own: what another in the process does is nothing to it
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Tls:
    """A connection's identity, and the authority that it trusts to name nodes: PEM texts."""

    certificate: bytes
    key: bytes
    trust: bytes

    def __post_init__(self) -> None:
        for what, pem in (("certificate", self.certificate), ("trust", self.trust)):
            try:
                x509.load_pem_x509_certificates(pem)
            except ValueError as error:
                raise ConfigError("tls-file-invalid", f"{what}: expected PEM certificates: {error}") from error
        if b"-----BEGIN" not in self.key or b"PRIVATE KEY-----" not in self.key:
            raise ConfigError("tls-file-invalid", "key: expected a PEM private key")

    def __repr__(self) -> str:
        return "Tls(..)"

    @classmethod
    def from_files(cls, certificate: Path | str, key: Path | str, trust: Path | str) -> Tls:
        """The same from files."""
        texts = []
        for what, path in (("certificate", certificate), ("key", key), ("trust", trust)):
            try:
                texts.append(Path(path).read_bytes())
            except OSError as error:
                raise ConfigError("tls-file-invalid", f"{what} {path}: {error.strerror or error}") from error
        return cls(*texts)


class Channel:
    """A connection that is made when it is first used, and again whenever it has to."""

    def __init__(self, address: str, tls: Tls | None) -> None:
        host, colon, port = address.rpartition(":")
        if not host or not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
            found = excerpt(address)
            raise ConfigError("config-invalid", f"expected an address like host:port, found {found}", found=found)
        self.address = address
        if tls is None:
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(tls.trust, tls.key, tls.certificate)
            self._channel = grpc.secure_channel(address, credentials, _OPTIONS)
        self._calls: dict[str, Callable[..., Any]] = {}
        self._changed = threading.Condition()
        self._state: grpc.ChannelConnectivity | None = None
        self._watched = False

    def connected(self, wait: float) -> bool:
        """Waits until there is a connection, or is known to be none. Only then is a call made: one that was made without
        would leave a doubt that need not be."""
        end = time.monotonic() + wait
        with self._changed:
            if not self._watched:
                self._watched = True
                self._channel.subscribe(self._becomes, try_to_connect=True)
            elif self._state is grpc.ChannelConnectivity.IDLE:
                # a lost connection is made again when somebody asks for it
                self._state = grpc.ChannelConnectivity.CONNECTING
                self._channel.unsubscribe(self._becomes)
                self._channel.subscribe(self._becomes, try_to_connect=True)
            while True:
                if self._state is grpc.ChannelConnectivity.READY:
                    return True
                left = end - time.monotonic()
                down = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)
                if left <= 0 or self._state in down:
                    return False
                self._changed.wait(left)

    def _becomes(self, state: grpc.ChannelConnectivity) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def call(self, method: str, request: Any, timeout: float | None) -> Any:
        """One call of `kho.v1.Store`: the answer, or an iterator over the answers."""
        call = self._calls.get(method)
        if call is None:
            about = _METHODS[method]
            make = self._channel.unary_stream if about.server_streaming else self._channel.unary_unary
            answer = message_factory.GetMessageClass(about.output_type)
            path = f"/{about.containing_service.full_name}/{method}"
            call = make(path, request_serializer=_serialize, response_deserializer=answer.FromString)
            self._calls[method] = call
        return call(request, timeout=timeout)

    def close(self) -> None:
        """Ends the connection and what is under way on it."""
        if self._watched:
            self._channel.unsubscribe(self._becomes)
        self._channel.close()


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


