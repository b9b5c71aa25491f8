"""What the session makes of the air: unnamed networks, what is seen, turns that wait for a phone."""

from __future__ import annotations

import asyncio

from qiot.hal.contract import PortT, Station, Udp
from qiot.hal.linux.udp import SocketUdp
from qiot.model import Credentials, Network, Offer, Outcome, Reason, Secret, Security, SsidClue, Step
from qiot.protocols.air.crc import crc8
from qiot.protocols.base import Seen
from tests.session.fakes import PHONE, TOKEN, FakePlatform, offer

HOME = Network(b"home", bytes.fromhex("00e04c8712ab"), 6, -60, Security.WPA2)
UNNAMED = Credentials(None, Secret("home-password"), clue=SsidClue(4, crc8(b"home"), crc8(HOME.bssid)))


async def test_a_scan_before_the_join_finds_a_network_that_nobody_named(run):
    session = run()
    session.platform.wifi.around = [HOME]
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(Offer(PHONE, UNNAMED, TOKEN))
    assert (await session.result()).step is Step.BOUND
    [joined] = session.platform.wifi.joined
    assert (joined.ssid, joined.bssid, joined.channel) == (b"home", HOME.bssid, 6)
    started = [event for event in session.platform.air.told if getattr(event, "step", None) is Step.JOINING]
    assert started[0].outcome is Outcome.STARTED, "who holds the radio gives it up before the scan"


async def test_an_unnamed_network_that_is_not_there_is_a_clear_failure(run):
    session = run()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(Offer(PHONE, UNNAMED, TOKEN))
    failed = await session.until(Step.JOINING, Outcome.FAILED)
    assert failed.failure.reason is Reason.NO_SUCH_AP
    assert "4 octets" in failed.failure.text
    await session.listening(2)


async def test_what_is_seen_is_an_event_and_the_last_word_of_a_time_out(run):
    session = run(timeout=0.3)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(Seen(0.4, 6, "ESP-TOUCH: guide heard"))
    session.platform.air.heard.put_nowait(Seen(0.0, None, "message of another device"))
    event = await session.until(Step.LISTENING, Outcome.PROGRESS)
    assert event.detail == {"weight": 0.4, "channel": 6, "text": "ESP-TOUCH: guide heard"}
    failure = (await session.result()).failure
    assert failure.reason is Reason.TIMEOUT
    assert "last heard: ESP-TOUCH: guide heard" in failure.text


class WithUdp(FakePlatform):
    """With sockets, too."""

    udp = None

    def port(self, kind: type[PortT]) -> PortT:
        if kind is Udp:
            self.udp = self.udp or SocketUdp()
            return self.udp
        return super().port(kind)


def in_turns(run):
    return run(WithUdp(), methods="soft_ap,smart_config", turn=0.05, udp_host="127.0.0.1", udp_port=0)


async def test_a_turn_waits_for_a_phone_that_is_seen(run):
    session = in_turns(run)
    await session.start()
    await session.listening(2)
    session.platform.air.heard.put_nowait(Seen(0.6, 6, "nearly"))
    await session.until(Step.LISTENING, Outcome.PROGRESS)
    count = len([each for each in session.session.events.history if each.step is Step.LISTENING])
    await asyncio.sleep(0.09)  # more than a turn: nothing to wait for, as nothing may happen
    later = len([each for each in session.session.events.history if each.step is Step.LISTENING])
    assert later == count
    session.platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.BOUND


async def test_a_turn_waits_for_who_is_in_the_access_point(run):
    session = in_turns(run)
    stations = session.platform.soft_ap.stations
    asked = asyncio.Event()

    async def somebody():
        asked.set()
        return [*(await stations()), Station(bytes(6))]

    session.platform.soft_ap.stations = somebody
    await session.start()
    await session.listening()
    async with asyncio.timeout(5):
        await asked.wait()
    assert session.platform.soft_ap.spec is not None, "the access point stays"


async def test_reserved_data_reach_the_application(run):
    session = run()
    await session.start()
    await session.listening()
    named = Credentials(b"home", Secret("home-password"))
    session.platform.air.heard.put_nowait(Offer(PHONE, named, TOKEN, reserved=b"for the app"))
    result = await session.result()
    assert result.reserved == b"for the app"
    assert "for the app" not in repr(result)
