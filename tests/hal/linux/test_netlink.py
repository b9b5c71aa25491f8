"""Netlink, nl80211 and rtnetlink without a radio: recorded answers, refusals, and this machine's loopback."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.hal.linux import nl80211 as nl80211_module
from qiot.hal.linux.links import Links
from qiot.hal.linux.netlink import ROUTE, WIRELESS, Netlink, find_family
from qiot.hal.linux.nl80211 import Nl80211
from qiot.hal.linux.refusals import refusals
from qiot.hal.linux.scan import networks_of
from qiot.model import Band, Reason, Security

RECORDED = Path(__file__).parent / "recorded"
HEADER = struct.Struct("=IHHII")
ERROR, DONE, MULTI, INTERRUPTED, EXTENDED = 2, 3, 0x02, 0x10, 0x300
CONTROLLER, FAMILY = 16, 28
GET_WIPHY, GET_INTERFACE, GET_SCAN, SET_WIPHY = 1, 5, 32, 2

Answer = Sequence[bytes]


def message(kind: int, body: bytes, sequence: int, flags: int = 0) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def error(code: int, sequence: int, text: str = "") -> bytes:
    request = HEADER.pack(HEADER.size, FAMILY, 0, sequence, 0)
    body = struct.pack("=i", -code) + request
    if text:
        value = text.encode() + b"\0"
        body += struct.pack("=HH", 4 + len(value), 1) + value + bytes(-len(value) % 4)
    return message(ERROR, body, sequence, EXTENDED if text else 0)


def done(sequence: int) -> bytes:
    return message(DONE, bytes(4), sequence, MULTI)


def recorded(name: str, sequence: int) -> list[bytes]:
    """The recorded messages, as the answer to a request with this number."""
    data = (RECORDED / f"{name}.bin").read_bytes()
    found = []
    while data:
        length, kind, flags, _, port = HEADER.unpack_from(data)
        found.append(HEADER.pack(length, kind, flags, sequence, port) + data[HEADER.size : length])
        data = data[(length + 3) & ~3 :]
    return found


class Kernel:
    """The other end of a netlink socket: answers each request as it is told."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.answers: dict[int, Callable[[int], Answer]] = {}
        self.requests: list[bytes] = []

    def serve(self) -> None:
        """Answer what has come."""
        request = self._end.recv(1 << 16)
        self.requests.append(request)
        _, kind, _, sequence, _ = HEADER.unpack_from(request)
        command = -1 if kind == CONTROLLER else request[HEADER.size]
        for datagram in self.answers[command](sequence):
            self._end.send(datagram)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """A kernel with nl80211; wlan0 is its second interface."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    made = Kernel(theirs)
    reading: list[asyncio.AbstractEventLoop] = []

    def opened(netlink: Netlink) -> socket.socket:
        if not reading:
            reading.append(asyncio.get_running_loop())
            reading[0].add_reader(theirs, made.serve)
        netlink._socket = ours
        return ours

    monkeypatch.setattr(Netlink, "open", opened)
    monkeypatch.setattr(nl80211_module, "index_of", lambda name: 2)
    made.answers = {
        -1: lambda number: [*recorded("family", number), error(0, number)],
        GET_INTERFACE: lambda number: [*recorded("interface", number), error(0, number)],
        GET_WIPHY: lambda number: [
            b"".join(recorded("wiphy", number)),
            message(DONE, bytes(4), number, MULTI),
        ],
        GET_SCAN: lambda number: [*recorded("scan", number), message(DONE, bytes(4), number, MULTI)],
    }
    yield made
    ours.close()
    theirs.close()


async def test_a_radio_as_it_was_recorded(kernel: Kernel) -> None:
    radio = await Nl80211().wiphy("wlan0")
    assert (radio.index, radio.name) == (0, "phy0")
    assert {"managed", "ap", "monitor", "p2p device"} <= radio.modes
    assert radio.software_modes == {"ap vlan", "monitor"}
    (limit,) = radio.limits
    assert (limit.total, limit.channels) == (2050, 1)
    assert (frozenset({"ad hoc"}), 1) in limit.groups
    assert any({"managed", "ap"} <= modes and most == 2048 for modes, most in limit.groups)
    numbers = {band: [each.number for each in radio.channels if each.band is band] for band in Band}
    assert numbers[Band.GHZ_2_4] == list(range(1, 15))
    assert numbers[Band.GHZ_5][:4] == [36, 40, 44, 48]
    assert numbers[Band.GHZ_6][:3] == [1, 5, 9]
    by_frequency = {each.frequency: each for each in radio.channels}
    assert not by_frequency[2437].disabled
    assert not by_frequency[2437].no_ir
    assert by_frequency[5180].no_ir
    assert by_frequency[5955].disabled


async def test_the_networks_as_they_were_recorded(kernel: Kernel) -> None:
    found = networks_of(await Nl80211().scan_results("wlan0"))
    assert {(each.ssid, each.channel, each.security) for each in found} == {
        (b"LAB-HOME", 6, Security.WPA2),
        ("家".encode(), 11, Security.WPA3),
    }
    assert {each.signal for each in found} == {-30}


async def test_an_interface_as_it_was_recorded(kernel: Kernel) -> None:
    own = await Nl80211().interface("wlan0")
    assert (own.name, own.index, own.wiphy, own.mode) == ("wlan0", 2, 0, "managed")
    assert (own.mac, own.frequency, own.ssid) == (bytes.fromhex("020000000000"), None, None)


async def test_several_interfaces_as_they_were_recorded(kernel: Kernel) -> None:
    kernel.answers[GET_INTERFACE] = lambda number: [
        *recorded("interfaces", number),
        message(DONE, bytes(4), number, MULTI),
    ]
    found = {each.name: each for each in await Nl80211().interfaces()}
    assert {name: each.mode for name, each in found.items()} == {
        "wlan0": "managed",
        "wlan1": "ap",
        "wlan2": "ap",
    }
    assert (found["wlan1"].frequency, found["wlan1"].ssid) == (2437, b"LAB-HOME")
    assert [each.name for each in await Nl80211().interfaces(2)] == ["wlan2"]


async def test_an_answer_to_a_request_that_was_cancelled_is_stepped_over(kernel: Kernel) -> None:
    good = kernel.answers[GET_INTERFACE]
    kernel.answers[GET_INTERFACE] = lambda number: [error(errno.EBUSY, number - 1), *good(number)]
    assert (await Nl80211().interface("wlan0")).name == "wlan0"


async def test_a_list_that_changed_is_read_again(kernel: Kernel) -> None:
    complete = kernel.answers[GET_SCAN]
    tries: list[int] = []

    def changing(number: int) -> Answer:
        tries.append(number)
        if len(tries) < 3:
            return [
                recorded("scan", number)[0],
                message(DONE, bytes(4), number, MULTI | INTERRUPTED),
            ]
        return complete(number)

    kernel.answers[GET_SCAN] = changing
    assert len(await Nl80211().scan_results("wlan0")) == 2
    assert len(tries) == 3
    kernel.answers[GET_SCAN] = lambda number: [message(DONE, bytes(4), number, MULTI | INTERRUPTED)]
    with pytest.raises(MediumError) as caught:
        await Nl80211().scan_results("wlan0")
    assert caught.value.code == errno.EINTR


async def test_the_kernels_own_words_are_told(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.linux.refusals._is_wireless", lambda name: True)
    kernel.answers[SET_WIPHY] = lambda number: [error(errno.EINVAL, number, "Channel is disabled")]
    with pytest.raises(MediumError, match="wlan0 at 2484 MHz: Channel is disabled") as caught:
        await Nl80211().set_frequency("wlan0", 2484)
    assert caught.value.code == errno.EINVAL


async def test_a_radio_that_is_held_shows_where_it_is(kernel: Kernel) -> None:
    kernel.answers[SET_WIPHY] = lambda number: [error(errno.EBUSY, number)]
    both = [*recorded("interfaces", 0)]
    access_point = next(each for each in both if b"LAB-HOME" in each)

    def answer(number: int) -> Answer:
        own = HEADER.pack(len(access_point), FAMILY, 0, number, 0) + access_point[HEADER.size :]
        return [own, error(0, number)]

    kernel.answers[GET_INTERFACE] = answer
    assert await Nl80211().set_frequency("wlan1", 2412) == 2437
    kernel.answers[GET_INTERFACE] = lambda number: [*recorded("interface", number), error(0, number)]
    with pytest.raises(MediumError, match="in use") as caught:
        await Nl80211().set_frequency("wlan0", 2412)
    assert caught.value.code == errno.EBUSY


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (errno.EPERM, MediumError, Reason.NO_PERMISSION),
        (errno.EACCES, MediumError, Reason.NO_PERMISSION),
        (errno.ENODEV, MediumError, Reason.MEDIUM),
        (errno.EBUSY, MediumError, Reason.MEDIUM),
        (errno.ERFKILL, MediumError, Reason.MEDIUM),
        (errno.ENETDOWN, MediumError, Reason.MEDIUM),
        (errno.EOPNOTSUPP, NotSupportedError, Reason.NOT_SUPPORTED),
        (errno.ENOENT, NotSupportedError, Reason.NOT_SUPPORTED),
    ],
)
def test_what_the_kernel_refuses_is_a_typed_error(code: int, kind: type[HalError], reason: Reason) -> None:
    with pytest.raises(kind) as caught, refusals("a scan", "nowhere0"):
        raise OSError(code, os.strerror(code))
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert caught.value.hint


def test_what_is_gone_may_be_fine() -> None:
    with refusals("removing it", gone_is_fine=True):
        raise OSError(errno.ENODEV, "gone")
    with pytest.raises(MediumError), refusals("a scan", unsupported_passes=True):
        raise OSError(errno.EOPNOTSUPP, "not now")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(15),
        HEADER.pack(15, 2, 0, 1, 0),
        HEADER.pack(40, 2, 0, 1, 0),
        message(DONE, b"", 1)[:-1],
    ],
)
async def test_a_damaged_answer_is_no_answer(kernel: Kernel, data: bytes) -> None:
    """The next message that is whole ends the request."""
    kernel.answers[GET_INTERFACE] = lambda number: [
        *([data] if data else []),
        *recorded("interface", number),
        error(0, number),
    ]
    assert (await Nl80211().interface("wlan0")).name == "wlan0"


# --- this machine's own kernel ----------------------------------------------------------------------------


async def test_the_controller_knows_itself() -> None:
    netlink = Netlink(WIRELESS)
    family = await find_family(netlink, "nlctrl")
    assert (family.number, set(family.groups)) == (CONTROLLER, {"notify"})
    with pytest.raises(OSError, match="No such file"):
        await find_family(netlink, "no-such-family")
    netlink.close()
    netlink.close()
    assert (await find_family(netlink, "nlctrl")).number == CONTROLLER
    netlink.close()


async def test_the_loopback() -> None:
    links = Links()
    assert await links.exists("lo")
    assert ("127.0.0.1", 8) in await links.addresses("lo")
    assert await links.is_up("lo")
    await links.up("lo")
    assert await links.gateway("lo") is None
    assert isinstance(await links.neighbours("lo"), dict)
    await links.wait_present("lo", 5)
    await links.wait_gone("nowhere0", 5)
    with pytest.raises(MediumError, match="is still there"):
        await links.wait_gone("lo", 0.05)
    with pytest.raises(MediumError, match="no interface nowhere0"):
        await links.up("nowhere0")
    await links.close()
    await links.close()


async def test_requests_at_the_same_time_have_their_own_answers() -> None:
    links = Links()
    answers = await asyncio.gather(*(links.addresses("lo") for _ in range(20)), links.gateway("lo"))
    assert all(("127.0.0.1", 8) in each for each in answers[:-1] if each is not None)
    asking = asyncio.ensure_future(links.addresses("lo"))
    await asyncio.sleep(0)
    asking.cancel()
    assert ("127.0.0.1", 8) in await links.addresses("lo")
    await links.close()


def test_a_group_that_is_none_is_an_error() -> None:
    netlink = Netlink(ROUTE, (0xFFFF,))
    with pytest.raises(OSError, match="Invalid argument"):
        netlink.open()
