"""devicestate from Python: a thin layer over redis-py 4.3 or newer. Copy it and make it yours."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from threading import Event
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

import redis

EVENTS = "devices:events"
Json = Dict[str, Any]
Outcome = Tuple[int, Optional[Json]]  # the shadow's version, and what the device has still to do


class Beat(NamedTuple):
    """The reply to a heartbeat."""

    came_online: bool  # this heartbeat took the device from offline to online
    applied: bool  # False: the session or the report is an old one, and was ignored
    version: int  # of the shadow
    delta: Json | None  # what the device has still to do; None: nothing
    commands: int  # how many commands wait for it


class Devices:
    """One method for each command. What the server refuses is raised as redis.ResponseError."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis = client  # made with decode_responses=True

    def register(self, device: str, kind: str, meta: Json | None = None) -> bool:
        """True if the device is new."""
        return bool(self._call("DEVICE.REGISTER", device, kind, META=meta))

    def heartbeat(self, device: str, reported: Json | None = None, *, timeout: int | None = None,
                  session: int | None = None, seq: int | None = None) -> Beat:
        """Proves that the device is alive, and merges what it reports. The timeout is in ms."""
        reply = self._call("DEVICE.HEARTBEAT", device, REPORTED=reported, TIMEOUT=timeout,
                           SESSION=session, SEQ=seq)
        came, applied, version, delta, commands = reply
        return Beat(bool(came), bool(applied), version, parse(delta), commands)

    def heartbeats(self, device: str, read: Callable[[], Json], every: float, stop: Event,
                   **options: int) -> Iterator[Beat]:
        """Reports what read() gives, every so many seconds, until stop is set."""
        session, seq = time.time_ns() // 1_000_000, 0
        while not stop.is_set():
            seq += 1
            try:
                yield self.heartbeat(device, read(), session=session, seq=seq, **options)
            except (redis.ConnectionError, redis.TimeoutError):
                pass  # the server is away: the next heartbeat tries again
            stop.wait(every)

    def offline(self, device: str, reason: str, session: int | None = None) -> bool:
        """Says goodbye. False if the device was offline already, or has a newer session."""
        return bool(self._call("DEVICE.OFFLINE", device, REASON=reason, SESSION=session))

    def desired(self, device: str, patch: Json, if_version: int | None = None) -> Outcome:
        """Merges into what the device shall be; with if_version only into that version."""
        version, delta = self._call("DEVICE.SHADOW.SET", device, patch, VERSION=if_version)
        return version, parse(delta)

    def report(self, device: str, patch: Json, if_version: int | None = None) -> Outcome:
        """Merges into what the device is, from a source that proves no life."""
        _, version, delta = self._call("DEVICE.SHADOW.REPORT", device, patch, VERSION=if_version)
        return version, parse(delta)

    def shadow(self, device: str) -> Json | None:
        """What the device shall be, what it is, and what is to do; None if there is no shadow."""
        return parse(self._call("DEVICE.SHADOW.GET", device))

    def delta(self, device: str) -> Json:
        """Whether the device is in sync, and both sides of what differs."""
        return parse(self._call("DEVICE.DELTA", device))

    @contextmanager
    def presence(self) -> Iterator[Iterator[Json]]:
        """Who goes online or offline, from the moment on when the with block begins."""
        with self.redis.pubsub() as pubsub:
            pubsub.subscribe("devices:presence")
            messages = pubsub.listen()
            next(messages)  # the server confirms the subscription
            yield (parse(m["data"]) for m in messages if m["type"] == "message")

    def events(self, group: str, consumer: str, stop: Event) -> Iterator[tuple[str, Json]]:
        """
        Events with their ids, each for one consumer of the group. An event is acknowledged when
        the next one is asked for. One that was not, because its consumer died, comes again to it.
        """
        try:
            self.redis.xgroup_create(EVENTS, group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # the group is there
                raise
        while not stop.is_set():
            # First what the consumer has already, then what is new.
            entries = self._read(group, consumer, "0") or self._read(group, consumer, ">")
            for entry, event in entries:
                if event:  # not trimmed meanwhile
                    yield entry, event
                self.redis.xack(EVENTS, group, entry)
                if stop.is_set():
                    return

    def _read(self, group: str, consumer: str, start: str) -> list[tuple[str, Json]]:
        # It waits for less than the 5 s that redis-py gives the server for any reply.
        reply: Any = self.redis.xreadgroup(group, consumer, {EVENTS: start}, count=100, block=2000)
        return reply[0][1] if reply else []

    def _call(self, *words: Any, **options: Any) -> Any:
        for name, value in options.items():
            words += () if value is None else (name, value)
        words = tuple(json.dumps(word) if isinstance(word, dict) else word for word in words)
        return self.redis.execute_command(*words)


def parse(text: str | None) -> Any:
    """JSON, or the null that stands for nothing."""
    return None if text is None else json.loads(text)
