"""Deliberate faults in the ports that the mock does not have; see `fault`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from qiot.errors import CloudError, HalError
from qiot.hal.contract import AirKiss, Camera, Gatt, Injector, Sniffer, Transport, Written
from qiot.model import Offer, Reason, Secret
from qiot.protocols.base import Lost
from tests.conformance.fakes import FullPlatform, Queue
from tests.conformance.fault import KEPT, patch
from tests.conformance.fault import fault as any_fault

fault = partial(any_fault, full=True)


def after_it_is_read(platform: FullPlatform, kind: type, change: Callable[[Any], Any]) -> None:
    async def read(real: Any) -> Any:
        return change(await real())

    patch(platform.port(kind), "read", read)


def loses_when_cancelled(platform: FullPlatform, kind: type) -> None:
    async def read(real: Any) -> Any:
        found = await real()
        await asyncio.sleep(0)  # a cancellation here takes it along
        return found

    patch(platform.port(kind), "read", read)


def stop_is_no_end(platform: FullPlatform, kind: type) -> None:
    async def read(real: Any) -> Any:
        try:
            return await real()
        except HalError:
            await asyncio.Event().wait()
            raise

    patch(platform.port(kind), "read", read)


def stops_once(platform: FullPlatform, kind: type) -> None:
    started: list[bool] = []

    async def start(real: Any, *args: Any) -> None:
        await real(*args)
        started.append(True)

    async def stop(real: Any) -> None:
        if not started:
            raise HalError("it is not started")
        started.clear()
        await real()

    patch(platform.port(kind), "start", start)
    patch(platform.port(kind), "stop", stop)


# --- Sniffer -----------------------------------------------------------------------------------------------


@fault("Sniffer.stop_is_idempotent_and_safe_without_a_start", "Sniffer.stop raised HalError")
def a_sniffer_stops_once(platform: FullPlatform) -> None:
    stops_once(platform, Sniffer)


@fault("Sniffer.the_channels_are_told", "those of 2.4 GHz are not the first")
def the_channels_are_in_disorder(platform: FullPlatform) -> None:
    async def channels(_: Any) -> list[int]:
        return [36, 1]

    patch(platform.port(Sniffer), "channels", channels)


@fault("Sniffer.nothing_works_before_start", "Sniffer.read hangs", patience=0.05)
def a_read_before_start_waits(platform: FullPlatform) -> None:
    stop_is_no_end(platform, Sniffer)


@fault("Sniffer.it_tunes_to_every_channel_it_tells", "gave 1, and nobody else uses the radio")
def it_stays_on_one_channel(platform: FullPlatform) -> None:
    async def tune(real: Any, _: int) -> int:
        found: int = await real(1)
        return found

    patch(platform.port(Sniffer), "tune", tune)


@fault("Sniffer.a_channel_that_is_not_there_is_refused", "worked, where MediumError was due")
def it_tunes_to_anything(platform: FullPlatform) -> None:
    async def tune(_: Any, channel: int) -> int:
        return channel

    patch(platform.port(Sniffer), "tune", tune)


@fault("Sniffer.stop_ends_a_pending_read", "Sniffer.stop does not end a pending read", patience=0.05)
def a_sniffers_stop_leaves_its_reader_waiting(platform: FullPlatform) -> None:
    stop_is_no_end(platform, Sniffer)


@fault("Sniffer.closing_the_platform_ends_a_pending_read", "does not end a pending read", patience=0.05)
def close_leaves_the_sniffers_reader_waiting(platform: FullPlatform) -> None:
    stop_is_no_end(platform, Sniffer)


@fault("Sniffer.a_cancelled_start_leaves_nothing", "Sniffer.read hangs", patience=0.05)
def a_stop_leaves_it_listening(platform: FullPlatform) -> None:
    async def stop(_: Any) -> None:
        return

    patch(platform.port(Sniffer), "stop", stop)


def each_frame(platform: FullPlatform, change: Callable[[Any], Any]) -> None:
    after_it_is_read(platform, Sniffer, lambda found: ([change(each) for each in found[0]], found[1]))


@fault("Sniffer.frames_come_as_they_were_in_the_air", "there came some of [64, 106, 328]")
def frames_come_with_their_fcs(platform: FullPlatform) -> None:
    each_frame(platform, lambda frame: attrs.evolve(frame, data=frame.data + b"fcs!"))


@fault("Sniffer.frames_come_as_they_were_in_the_air", "octets has others than were sent")
def long_frames_have_an_octet_turned(platform: FullPlatform) -> None:
    def change(frame: Any) -> Any:
        turned = frame.data[:-1] + bytes((frame.data[-1] ^ 1,))
        return attrs.evolve(frame, data=turned) if len(turned) > 200 else frame

    each_frame(platform, change)


@fault("Sniffer.frames_come_as_they_were_in_the_air", "it says 13")
def frames_have_the_wrong_channel(platform: FullPlatform) -> None:
    each_frame(platform, lambda frame: attrs.evolve(frame, channel=13))


@fault("Sniffer.frames_come_as_they_were_in_the_air", "the monotonic clock is at")
def frames_have_the_time_of_day(platform: FullPlatform) -> None:
    each_frame(platform, lambda frame: attrs.evolve(frame, t=1.8e9))


@fault("Sniffer.only_what_is_wanted_comes", "frames that are not wanted came up")
def the_filter_is_ignored(platform: FullPlatform) -> None:
    async def start(real: Any, wanted: Any) -> None:
        everything = frozenset({"data", "probe request", "beacon"})
        await real(attrs.evolve(wanted, kinds=everything, group_addressed=False))

    patch(platform.port(Sniffer), "start", start)


@fault("Sniffer.a_cancelled_read_loses_nothing", "lost its frame", patience=0.05)
def a_cancelled_sniff_loses_its_frames(platform: FullPlatform) -> None:
    loses_when_cancelled(platform, Sniffer)


@fault("Sniffer.what_is_not_read_is_bounded_and_counted", "0 are counted")
def lost_frames_are_not_counted(platform: FullPlatform) -> None:
    after_it_is_read(platform, Sniffer, lambda found: (found[0], 0))


@fault("Sniffer.what_is_not_read_is_bounded_and_counted", "the queue has no bound")
def the_sniffers_queue_has_no_bound(platform: FullPlatform) -> None:
    class Endless(Queue):
        def put(self, item: object) -> None:
            self.waiting.append(item)
            self.changed.set()

    platform.sniffer.queue = Endless()


# --- Injector ----------------------------------------------------------------------------------------------


@fault("Injector.the_sniffer_has_to_be_started_first", "worked, where MediumError was due")
def it_sends_without_a_sniffer(platform: FullPlatform) -> None:
    async def send(_: Any, frame: bytes) -> None:
        platform.sniffer.air.send(frame, 1)

    patch(platform.port(Injector), "send", send)


@fault("Injector.a_frame_is_heard_outside_octet_by_octet", "nobody heard it")
def what_it_sends_is_cut_off(platform: FullPlatform) -> None:
    async def send(real: Any, frame: bytes) -> None:
        await real(frame[:-1])

    patch(platform.port(Injector), "send", send)


@fault("Injector.own_frames_do_not_come_up", "came up in its own sniffer")
def it_hears_itself(platform: FullPlatform) -> None:
    async def send(real: Any, frame: bytes) -> None:
        await real(frame)
        platform.sniffer.hear(frame, platform.sniffer.channel)

    patch(platform.port(Injector), "send", send)


# --- Listener ----------------------------------------------------------------------------------------------


@fault("AirKiss.stop_is_idempotent_and_safe_without_a_start", "Listener.stop raised HalError")
def a_listener_stops_once(platform: FullPlatform) -> None:
    stops_once(platform, AirKiss)


@fault("AirKiss.stop_ends_a_pending_read", "Listener.stop does not end a pending read", patience=0.05)
def a_listeners_stop_leaves_its_reader_waiting(platform: FullPlatform) -> None:
    stop_is_no_end(platform, AirKiss)


@fault("AirKiss.what_a_phone_sends_is_heard", "what a phone sent was not heard", patience=0.01)
def what_is_heard_is_wrong(platform: FullPlatform) -> None:
    def change(heard: Any) -> Any:
        return [
            attrs.evolve(each, credentials=attrs.evolve(each.credentials, password=Secret("garbled")))
            if isinstance(each, Offer)
            else each
            for each in heard
        ]

    after_it_is_read(platform, AirKiss, change)


@fault("AirKiss.a_cancelled_read_loses_nothing", "lost an offer", patience=0.01)
def a_cancelled_read_loses_an_offer(platform: FullPlatform) -> None:
    loses_when_cancelled(platform, AirKiss)


@fault("AirKiss.it_can_be_told_every_step", "Listener.tell hangs", patience=0.05)
def it_cannot_be_told_bad_news(platform: FullPlatform) -> None:
    async def tell(real: Any, news: Any) -> None:
        if news.failure is not None:
            await asyncio.Event().wait()
        await real(news)

    patch(platform.port(AirKiss), "tell", tell)


@fault("AirKiss.it_can_be_told_every_step", "Listener.drain hangs", patience=0.01)
def its_repeats_never_end(platform: FullPlatform) -> None:
    async def drain(_: Any) -> None:
        await asyncio.Event().wait()

    patch(platform.port(AirKiss), "drain", drain)


# --- Gatt --------------------------------------------------------------------------------------------------


@fault("Gatt.what_cannot_be_served_is_refused", "worked, where HalError was due")
def it_takes_any_advertisement(platform: FullPlatform) -> None:
    async def start(real: Any, profiles: Any) -> None:
        await real([attrs.evolve(each, advertising=b"", scan_response=b"") for each in profiles])

    patch(platform.port(Gatt), "start", start)


@fault("Gatt.it_advertises_from_start_to_stop", "still advertises after stop")
def it_advertises_for_ever(platform: FullPlatform) -> None:
    async def stop(_: Any) -> None:
        platform.gatt.queue.close()

    patch(platform.port(Gatt), "stop", stop)


def each_event(platform: FullPlatform, change: Callable[[Any], Any]) -> None:
    after_it_is_read(platform, Gatt, lambda found: [(peer, change(each)) for peer, each in found])


@fault("Gatt.a_central_writes_and_is_notified", "was written, ")
def what_a_central_writes_is_text(platform: FullPlatform) -> None:
    def change(event: Any) -> Any:
        if not isinstance(event, Written):
            return event
        return attrs.evolve(event, data=event.data.decode(errors="replace").encode())

    each_event(platform, change)


@fault("Gatt.a_central_writes_and_is_notified", "a notification did not arrive", patience=0.05)
def notifications_are_lost(platform: FullPlatform) -> None:
    async def notify(_: Any, *args: Any, **kwargs: Any) -> None:
        return

    patch(platform.port(Gatt), "notify", notify)


@fault("Gatt.nobody_cannot_be_notified", "worked, where HalError was due")
def nobody_is_notified_in_silence(platform: FullPlatform) -> None:
    notifications_are_lost(platform)


@fault("Gatt.a_central_can_be_sent_away", "no Lost came", patience=0.05)
def the_loss_of_a_central_is_not_told(platform: FullPlatform) -> None:
    async def read(real: Any) -> Any:
        while True:
            found = [each for each in await real() if not isinstance(each[1], Lost)]
            if found:
                return found

    patch(platform.port(Gatt), "read", read)


@fault("Gatt.stop_sends_centrals_away", "stop leaves a central connected", patience=0.05)
def stop_leaves_centrals(platform: FullPlatform) -> None:
    it_advertises_for_ever(platform)


@fault("Gatt.stop_and_close_end_a_pending_read", "Gatt.stop does not end a pending read", patience=0.05)
def a_gatts_stop_leaves_its_reader_waiting(platform: FullPlatform) -> None:
    stop_is_no_end(platform, Gatt)


@fault("Gatt.a_cancelled_read_loses_nothing", "lost a write", patience=0.05)
def a_cancelled_read_loses_a_write(platform: FullPlatform) -> None:
    loses_when_cancelled(platform, Gatt)


# --- Camera ------------------------------------------------------------------------------------------------


@fault("Camera.stop_is_idempotent_and_safe_without_a_start", "Camera.stop raised HalError")
def a_camera_stops_once(platform: FullPlatform) -> None:
    stops_once(platform, Camera)


@fault("Camera.pictures_are_whole_png_or_jpeg", "it is cut off")
def pictures_are_cut_off(platform: FullPlatform) -> None:
    after_it_is_read(platform, Camera, lambda picture: picture[:-4])


@fault("Camera.pictures_are_whole_png_or_jpeg", "which is neither PNG nor JPEG")
def pictures_are_raw(platform: FullPlatform) -> None:
    after_it_is_read(platform, Camera, lambda _: bytes(640))


@fault("Camera.a_read_needs_a_start", "worked, where HalError was due")
def it_takes_pictures_in_secret(platform: FullPlatform) -> None:
    async def read(_: Any) -> bytes:
        return b""

    patch(platform.port(Camera), "read", read)


# --- Transport ---------------------------------------------------------------------------------------------


def connections_fail_as(platform: FullPlatform, make: Callable[[CloudError], Exception]) -> None:
    async def mqtt(real: Any, parameters: Any) -> Any:
        try:
            return await real(parameters)
        except CloudError as error:
            raise make(error) from None

    patch(platform.port(Transport), "mqtt", mqtt)


@fault("Transport.a_broker_that_is_not_there_is_told", "ConnectionRefusedError")
def no_broker_is_an_os_error(platform: FullPlatform) -> None:
    connections_fail_as(platform, lambda _: ConnectionRefusedError())


@fault("Transport.a_refused_connection_has_the_brokers_number", "the error says None")
def a_refusal_has_no_number(platform: FullPlatform) -> None:
    connections_fail_as(platform, lambda error: CloudError("refused", reason=error.reason))


@fault("Transport.a_broker_that_is_none_is_told", "Transport.mqtt hangs", patience=0.05)
def a_connection_ignores_its_time_out(platform: FullPlatform) -> None:
    async def mqtt(real: Any, parameters: Any) -> Any:
        return await real(attrs.evolve(parameters, timeout=3600.0))

    patch(platform.port(Transport), "mqtt", mqtt)


@fault(
    "Transport.a_cancelled_connection_leaves_nothing", "a cancelled connection is still open", patience=0.05
)
def a_cancelled_connection_stays_open(platform: FullPlatform) -> None:
    async def mqtt(real: Any, parameters: Any) -> Any:
        KEPT.append(socket.create_connection((parameters.host, parameters.port)))
        return await real(parameters)

    patch(platform.port(Transport), "mqtt", mqtt)


class Link:
    """A link whose verbs can be changed."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def links(platform: FullPlatform, kind: Callable[[Any], Any]) -> None:
    async def mqtt(real: Any, parameters: Any) -> Any:
        return kind(await real(parameters))

    patch(platform.port(Transport), "mqtt", mqtt)


@fault("Transport.a_lost_connection_is_told", "wait_lost does not return", patience=0.05)
def a_loss_is_not_told(platform: FullPlatform) -> None:
    class Deaf(Link):
        async def wait_lost(self) -> None:
            await asyncio.Event().wait()

    links(platform, Deaf)


@fault("Transport.messages_go_both_ways", "nothing came back with QoS 0", patience=0.05)
def messages_are_not_handed_on(platform: FullPlatform) -> None:
    class Deaf(Link):
        async def subscribe(self, topic: str, handler: Any, qos: int = 0) -> None:
            await self._real.subscribe(topic, lambda _: None, qos)

    links(platform, Deaf)


@fault("Transport.messages_go_both_ways", "connected True")
def a_closed_link_says_that_it_is_connected(platform: FullPlatform) -> None:
    class Optimist(Link):
        connected = True

    links(platform, Optimist)


def answers(platform: FullPlatform, run: Callable[..., Any]) -> None:
    patch(platform.port(Transport), "request", run)


@fault("Transport.a_request_goes_out_and_its_answer_comes_back", "a redirect")
def redirects_are_followed(platform: FullPlatform) -> None:
    async def request(real: Any, asked: Any) -> Any:
        answer = await real(asked)
        if answer.status == 302:
            return attrs.evolve(answer, status=200)
        return answer

    answers(platform, request)


@fault("Transport.a_request_goes_out_and_its_answer_comes_back", "CloudError HTTP")
def a_404_is_an_error(platform: FullPlatform) -> None:
    async def request(real: Any, asked: Any) -> Any:
        answer = await real(asked)
        if answer.status >= 400:
            raise CloudError("not found", reason=Reason.HTTP, code=answer.status)
        return answer

    answers(platform, request)


@fault("Transport.an_answer_has_a_bound", "where CLOUD_MALFORMED was due")
def a_long_answer_has_another_reason(platform: FullPlatform) -> None:
    async def request(real: Any, asked: Any) -> Any:
        try:
            return await real(asked)
        except CloudError as error:
            raise CloudError(str(error), reason=Reason.TCP) from None

    answers(platform, request)


@fault("Transport.a_server_that_does_not_answer_is_told", "Transport.request hangs", patience=0.05)
def a_request_ignores_its_time_out(platform: FullPlatform) -> None:
    async def request(real: Any, asked: Any) -> Any:
        return await real(attrs.evolve(asked, timeout=3600.0))

    answers(platform, request)


@fault("Camera.stop_ends_a_pending_read", "Camera.read, when the camera is stopped, hangs")
def a_picture_is_waited_for_after_stop(platform: Any) -> None:
    async def read(real: Any) -> bytes:
        await asyncio.sleep(0.001)
        if not platform.camera.started:
            await asyncio.Event().wait()
        picture: bytes = await real()
        return picture

    patch(platform.camera, "read", read)


@fault("Gatt.the_address_is_one_or_empty", "is no AA:BB:CC:DD:EE:FF")
def the_controllers_address_is_in_small_letters(platform: Any) -> None:
    async def address(_: Any) -> str:
        return "f0:f1:f2:f3:f4:f5"

    patch(platform.gatt, "address", address)


@fault("Gatt.a_burst_keeps_its_order", "values were written, they came as")
def what_waits_is_read_from_behind(platform: Any) -> None:
    after_it_is_read(platform, Gatt, lambda found: list(reversed(found)))


@fault("Gatt.a_burst_keeps_its_order", "values were notified, they came as", patience=1)
def notifications_overtake_each_other(platform: Any) -> None:
    held: list[Any] = []

    async def notify(real: Any, *args: Any, **kwargs: Any) -> None:
        held.append(args)
        if len(held) > 1:
            while held:
                await real(*held.pop(), **kwargs)

    patch(platform.gatt, "notify", notify)
