"""
A lamp and an app that speak with the AWS IoT Device Shadow service, by AWS's own SDK, and find
devicestate there. Nothing in it is made for devicestate. Takes the broker at $MQTT_HOST and
$MQTT_PORT, else 127.0.0.1:1883. Exit status 0: all that is printed is as it has to be.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import sys
import threading

from awscrt import mqtt5
from awscrt.mqtt_request_response import ClientOptions, SubscriptionStatusEventType
from awsiot import ServiceStreamOptions, V2ServiceException
from awsiot.iotshadow import (
    DeleteShadowRequest,
    GetShadowRequest,
    IotShadowClientV2,
    ShadowDeltaUpdatedEvent,
    ShadowDeltaUpdatedSubscriptionRequest,
    ShadowState,
    ShadowUpdatedEvent,
    ShadowUpdatedSubscriptionRequest,
    UpdateShadowRequest,
)

LAMP = "demo-aws-lamp"
WAIT = 20  # seconds


class Client:
    """A connection, and the shadow of the lamp as its owner sees it."""

    def __init__(self, client_id: str) -> None:
        connected, self.stopped = threading.Event(), threading.Event()
        # With AWS, mqtt5_client_builder makes this of an endpoint and a certificate.
        self.mqtt = mqtt5.Client(
            mqtt5.ClientOptions(
                host_name=os.environ.get("MQTT_HOST", "127.0.0.1"),
                port=int(os.environ.get("MQTT_PORT", "1883")),
                connect_options=mqtt5.ConnectPacket(client_id=client_id),
                on_lifecycle_event_connection_success_fn=lambda _: connected.set(),
                on_lifecycle_event_stopped_fn=lambda _: self.stopped.set(),
            )
        )
        self.mqtt.start()
        expect(connected.wait(WAIT), f"{client_id}: connected")
        self.shadows = IotShadowClientV2(self.mqtt, ClientOptions(4, 4, WAIT))
        self.streams = []

    def close(self) -> None:
        self.streams.clear()
        self.shadows = None
        self.mqtt.stop()
        expect_quietly(self.stopped.wait(WAIT), "the connection does not end")

    def get(self):
        return self.shadows.get_shadow(GetShadowRequest(thing_name=LAMP)).result(WAIT)

    def update(self, version: int | None = None, **sections):
        request = UpdateShadowRequest(
            thing_name=LAMP, state=ShadowState(**sections), version=version
        )
        return self.shadows.update_shadow(request).result(WAIT)

    def delete(self):
        return self.shadows.delete_shadow(DeleteShadowRequest(thing_name=LAMP)).result(WAIT)

    def deltas(self) -> queue.Queue[ShadowDeltaUpdatedEvent]:
        request = ShadowDeltaUpdatedSubscriptionRequest(thing_name=LAMP)
        return self._stream(self.shadows.create_shadow_delta_updated_stream, request)

    def updates(self) -> queue.Queue[ShadowUpdatedEvent]:
        request = ShadowUpdatedSubscriptionRequest(thing_name=LAMP)
        return self._stream(self.shadows.create_shadow_updated_stream, request)

    def _stream(self, create, request) -> queue.Queue:
        events: queue.Queue = queue.Queue()
        established = threading.Event()

        def on_status(event) -> None:
            if event.type == SubscriptionStatusEventType.SUBSCRIPTION_ESTABLISHED:
                established.set()

        stream = create(
            request,
            ServiceStreamOptions(
                incoming_event_listener=events.put,
                subscription_status_listener=on_status,
                deserialization_failure_listener=events.put,
            ),
        )
        stream.open()
        self.streams.append(stream)
        expect_quietly(established.wait(WAIT), "the stream is not established")
        return events


def main() -> None:
    faulthandler.dump_traceback_later(50, exit=True)  # what never comes shall not hang the demo
    lamp, app = Client("demo-aws-lamp"), Client("demo-aws-app")
    try:
        lamp.delete()  # what an earlier run left
    except V2ServiceException as error:
        expect_quietly(error.modeled_error.code == 404, f"delete: {error.modeled_error}")

    try:
        lamp.get()
        expect(False, "get: there is no shadow")
    except V2ServiceException as error:
        expect(error.modeled_error.code == 404, f"get: {error.modeled_error.message}")

    deltas, updates = lamp.deltas(), app.updates()
    born = lamp.update(reported={"power": "off", "level": 10.5}).version
    print("lamp: reported")
    seen = updates.get(timeout=WAIT)
    expect(seen.previous is None, "app: the lamp is new")
    expect(seen.current.state.reported == {"power": "off", "level": 10.5}, "app: and what it is")

    wished = app.update(desired={"power": "on", "level": 80})
    expect(wished.version == born + 1, "app: wished")
    delta = deltas.get(timeout=WAIT)
    expect(delta.state == {"power": "on", "level": 80}, f"lamp: to do {sorted(delta.state)}")
    at = delta.metadata["power"]["timestamp"]
    expect(abs(delta.timestamp.timestamp() - at) < 60, "lamp: and since when")

    done = lamp.update(reported={"power": "on", "level": 80})
    shadow = lamp.get()
    expect(shadow.state.delta is None, "lamp: done")
    expect(shadow.version == done.version, "lamp: nothing has changed since")

    try:
        app.update(version=wished.version, desired={"power": "off"})
        expect(False, "app: an old version is refused")
    except V2ServiceException as error:
        expect(error.modeled_error.code == 409, "app: an old version is refused")
    gone = app.delete()
    expect(gone.version > shadow.version, "app: deleted")
    lamp.close()
    app.close()
    print("all seen")


def expect(seen: bool, what: str) -> None:
    expect_quietly(seen, what)
    print(what)


def expect_quietly(seen: bool, what: str) -> None:
    if not seen:
        sys.exit(f"not so: {what}")


if __name__ == "__main__":
    main()
