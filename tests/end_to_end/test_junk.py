"""Everything that may reach the ports besides a phone: nothing of it ends, fills or confuses the device."""

from __future__ import annotations

import json
import random
import socket

import pytest

from qiot.model import Outcome, Reason, Step
from qiot.testbed.phone import LogPhone
from tests.end_to_end.support import bound_by, end_of, mock, new_token, place, until

TEST2 = "L4WG9V9M2M/TEST2"
_GOOD = b'{"cmdType":1,"ssid":"Home","password":"home-password","token":"' + b"a" * 32 + b'"}'
_SHAPES: tuple[bytes, ...] = (
    b"",
    b"\x00",
    b"\xff\xfe\xfd",
    b"{}",
    b"[]",
    b"null",
    b"NaN",
    b"1e999999",
    b'"cmdType"',
    b"[" * 900,
    b'{"a":' * 200,
    b'{"cmdType":' + b"9" * 900 + b"}",
    b'{"cmdType":1' + b" " * 60000 + b"}",
    b"x" * 65000,
    b'{"cmdType":2}',
    b'{"cmdType":2,"deviceReply":"Current_Error","log":"x"}',
    b'{"cmdType":2,"productId":"P","deviceName":"D"}',
    b'{"cmdType":5}',
    b'{"cmdType":6}',
    b'{"cmdType":7,"wifiConfigState":5}',
    b'{"cmdType":-1}',
    b'{"cmdType":99}',
    b'{"cmdType":1.9}',
    b'{"cmdType":"1"}',
    b'{"cmdType":true}',
    b'{"cmdType":null}',
    b'{"cmdType":[]}',
    b'{"cmdType":{}}',
    b'{"cmdType":0}',
    b'{"cmdType":0,"token":[]}',
    b'{"cmdType":0,"token":""}',
    b'{"cmdType":1,"ssid":"","password":"","token":"t"}',
    b'{"cmdType":1,"ssid":"' + b"s" * 33 + b'","password":"","token":"t"}',
    b'{"cmdType":1,"ssid":"S","password":"short","token":"t"}',
    b'{"cmdType":1,"ssid":"\\ud800","password":"","token":"t"}',
    b'{"cmdType":1,"ssid":1,"password":2,"token":3}',
    b'{"cmdType":1}',
    b'{"cmdType":3}',
    b'{"cmdType":4}',
)


def junk(count: int) -> list[bytes]:
    """So many datagrams: every shape, every truncation of a good one, and random octets; always the same."""
    chance = random.Random(14)
    made = [*_SHAPES, *(_GOOD[:end] for end in range(len(_GOOD)))]
    while len(made) < count:
        mangled = bytearray(_GOOD)
        for _ in range(chance.randrange(1, 8)):
            mangled[chance.randrange(13)] = chance.randrange(256)
        made += [chance.randbytes(chance.randrange(1200)), bytes(mangled)]
    chance.shuffle(made)
    return [each for each in made[:count] if each != _GOOD]


async def pour(datagrams: list[bytes], phones: list) -> None:
    """Send them from all phones in turn, and let the device answer each portion."""
    for start in range(0, len(datagrams), 50):
        for number, datagram in enumerate(datagrams[start : start + 50]):
            phones[number % len(phones)].send(datagram)
        probe = phones[start // 50 % len(phones)]
        probe.send(b"probe")
        await probe.error()


async def test_a_thousand_junk_datagrams_before_and_during_a_run(cloud, device, phone):
    here = await cloud(mode={"bind_reply": {"do": "delay", "seconds": 0.3}})
    wifi = device(here, mock(ap_sta="yes"))
    await wifi.start()
    senders = [await phone(wifi) for _ in range(5)]
    datagrams = junk(1000)
    await pour(datagrams[:500], senders)
    real = await phone(wifi)
    real.join(token := new_token(here))
    await until(wifi, Step.BINDING, Outcome.STARTED)
    await pour(datagrams[500:], senders)
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    assert not [data for data in real.everything if b"Current_Error" in data]
    assert len(wifi.history) <= 1000
    assert all(len(data) <= 1472 for each in senders for data in each.everything)


async def test_many_senders_are_forgotten_again(cloud, device, phone):
    here = await cloud()
    wifi = device(here, mock(ap_sta="yes"))
    await wifi.start()
    host, port = place(wifi)
    for number in range(1500):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((f"127.0.{number // 250}.{number % 250 + 2}", 0))
            sender.sendto(b'{"cmdType":0,"token":"t"}' if number % 2 else b"junk", (host, port))
        if number % 100 == 99:
            await _answered((host, port), phone)
    session = wifi._session
    codec = session._doors._command._codec
    assert len(session._offers._grants) <= 9
    assert len(codec._plans) <= 64
    assert len(codec._lengths) <= 64
    assert len(session._errors._unsaid) <= 16
    assert len(wifi.history) <= 1000
    (await phone((host, port))).join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def _answered(address: tuple[str, int], phone) -> None:
    """Return when the device has read everything that was sent before."""
    speaker = await phone(address)
    speaker.send(b"probe")
    await speaker.error()
    speaker.close()


@pytest.mark.parametrize("message", [b'{"cmdType":2}', b'{"cmdType":5}', b'{"cmdType":7}'])
async def test_another_devices_messages_are_never_answered(cloud, device, phone, message):
    wifi = device(await cloud())
    await wifi.start()
    speaker = await phone(wifi)
    for _ in range(10):
        speaker.send(message)
    speaker.send(b"probe")
    assert json.loads(await speaker.hear())["log"] == "APP command error! (2, 201)"
    assert len(speaker.everything) == 1


async def test_a_flood_faster_than_it_is_read_loses_only_datagrams(cloud, device, phone):
    here = await cloud()
    wifi = device(here)
    await wifi.start()
    senders = [await phone(wifi) for _ in range(4)]
    for number in range(4000):  # no pause: the device cannot read meanwhile
        senders[number % 4].send(b"flood")
    await senders[0].error()
    (await phone(wifi)).join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def test_junk_on_the_log_port(cloud, device, phone):
    here = await cloud(mode={"connack": {"do": "code", "code": 4}})
    wifi = device(here, retry_window=0.05)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).failure.reason is Reason.MQTT_REFUSED
    service = await wifi.send_log(port=0)
    speaker = await phone(service.local)
    for datagram in junk(500):
        if b'"cmdType":3' not in datagram:
            speaker.send(datagram)
    result = await LogPhone(*service.local, quiet=0.05, resend_interval=0.2).run()
    assert "SSID:Home" in result.text, result.error
    assert "WIFI_MQTT_CONNECT_FAILED" in result.text
    assert speaker.everything == [], "only a log query is answered there"
    await wifi.aclose()
    assert await wifi.log_sent() is False
