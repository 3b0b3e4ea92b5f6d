"""
Everything devicestate.py can do, once: a lamp, an app that wants it to shine, and a worker that
reads the events. Takes the server at $REDIS_URL, else redis://127.0.0.1:6379. Exit status 0: all
that is printed is as it has to be.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
from typing import Iterator

import redis

from devicestate import Beat, Devices, Json

LAMP = "demo-py-lamp"
GROUP, CONSUMER = "demo-py", "worker-1"


def main() -> None:
    faulthandler.dump_traceback_later(25, exit=True)  # what never comes shall not hang the demo
    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
    devices = Devices(redis.Redis.from_url(url, decode_responses=True))
    devices.redis.execute_command("DEVICE.REMOVE", LAMP)  # what an earlier run left

    new = devices.register(LAMP, "lamp", {"room": "hall"})
    expect(new, "register: the lamp is new")

    stop = threading.Event()
    lamp = be_a_lamp(devices, stop)
    with devices.presence() as changes:
        mine = (change for change in changes if change["device_id"] == LAMP)
        beat = next(lamp)
        expect(beat.came_online and beat.applied, f"heartbeat: online, version {beat.version}")
        change = next(mine)
        expect(change["status"] == "online", f"presence: online, {change['reason']}")

        wanted = {"level": 80, "power": "on"}
        _, to_do = devices.desired(LAMP, wanted)
        expect(to_do == wanted, f"desired: to do {text(to_do)}")
        differs = devices.delta(LAMP)["delta"]["power"]
        expect(differs == {"desired": "on", "reported": "off"}, f"delta: power {text(differs)}")
        to_do = next(lamp).delta
        expect(to_do == wanted, f"heartbeat: to do {text(to_do)}")
        to_do = next(lamp).delta
        expect(to_do is None, "heartbeat: done")

        stop.set()
        expect(next(lamp, None) is None, "heartbeats: stopped")
        expect(devices.offline(LAMP, "switched off"), "offline: said")
        change = next(mine)
        expect(change["status"] == "offline", f"presence: offline, {change['reason']}")

    # A gateway tells something about the lamp; that does not bring it online.
    version, to_do = devices.report(LAMP, {"signal": -61})
    expect(to_do is None, f"report: version {version}")
    shadow = devices.shadow(LAMP) or {}
    both = {"desired": wanted, "reported": {**wanted, "signal": -61}}
    expect(shadow["state"] == both, f"shadow: {text(shadow['state'])}")
    try:
        devices.desired(LAMP, {"level": 10}, if_version=version - 1)
        expect(False, "desired: an old version is accepted")
    except redis.ResponseError as error:
        expect(str(error).startswith("VERSIONCONFLICT "), f"refused: {error}")

    read_events(devices)


def be_a_lamp(devices: Devices, stop: threading.Event) -> Iterator[Beat]:
    """The device's side: it beats, and does what the replies say."""
    state: Json = {"power": "off"}
    for beat in devices.heartbeats(LAMP, lambda: state, every=0.01, stop=stop, timeout=60_000):
        state.update(beat.delta or {})
        yield beat


def read_events(devices: Devices) -> None:
    """The worker's side: it dies over an event that it has not handled yet, and comes back."""
    stop = threading.Event()
    died_over, _ = next(devices.events(GROUP, CONSUMER, stop))
    back = devices.events(GROUP, CONSUMER, stop)
    for count, (entry, event) in enumerate(back):
        if count == 0:
            expect(entry == died_over, "event: comes again after a crash")
        if event["device_id"] == LAMP:
            about = event.get("reason") or event.get("delta") or event["device_type"]
            print(f"event: {event['type']}, {about}")
            if about == "switched off":
                stop.set()
    print("all seen")


def expect(holds: bool, line: str) -> None:
    """Prints what was seen; ends the demo if it is not as it has to be."""
    if not holds:
        sys.exit(f"not as expected: {line}")
    print(line)


def text(document: Json | None) -> str:
    return json.dumps(document, separators=(",", ":"))


if __name__ == "__main__":
    main()
