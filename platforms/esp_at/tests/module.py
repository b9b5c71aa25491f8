"""A module that is a script: Tencent's AT firmware on a pseudo-terminal, as far as its document goes.

What it says over IP is real: its sockets and its MQTT connection lead to servers of this host.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import operator
import os
import re
import tty
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Self

from world import AccessPoint, around, escaped

from qiot.cloud.tencent.binder import TencentBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import DeviceInfo
from qiot.errors import QiotError
from qiot.model import CloudLink, Message, Secret

__all__ = ["Module"]

JOIN_TAKES = 0.02
"""Seconds."""
GIVES_UP = 0.01
"""Of the seconds of AT+CWJAP's time-out, those that pass here."""


class Module:
    """Speaks the AT wire to whoever opens `path`.

    Args:
        mischief: Seed of pieces, delays, garbled lines and lines that nobody asked for; None for none.

    Attributes:
        path: The pseudo-terminal.
        heard: The commands that came, in order.
        listening: The method that runs, by its command's name.
        answers: Answers to give instead of the usual ones, for each command, first to last; "" is silence.
        access_points: What is around.
        hosts: Where names and ports lead.
        mqtt_url: The broker behind the cloud's name.
        flash: What it joins by itself when it starts.
        reboots_to_stop: It reboots after it has been told to leave a method, as some firmware does.
    """

    def __init__(self, mischief: int | None = None) -> None:
        self.path = ""
        self.heard: list[str] = []
        self.listening = ""
        self.identity: tuple[str, ...] = ()
        self.answers: dict[str, list[str]] = {}
        self.access_points: dict[str, AccessPoint] = around()
        self.hosts: dict[tuple[str, int], tuple[str, int]] = {}
        self.mqtt_url = ""
        self.flash: AccessPoint | None = None
        self.reboots_to_stop = False
        self.joined: AccessPoint | None = None
        self.link: CloudLink | None = None
        self._random = Random(mischief) if mischief is not None else None
        self._late = 0.0
        self._echo = True
        self._busy = False
        self._payload: tuple[int, Callable[[bytes], None]] | None = None
        self._socket: asyncio.StreamWriter | None = None
        self._buffer = b""
        self._outgoing = bytearray()
        self._ours = self._theirs = -1
        self._came = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.unplug()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._leave_broker()
        if self._socket is not None:
            self._socket.close()

    @property
    def last(self) -> str:
        """The last command that came."""
        return self.heard[-1] if self.heard else ""

    def unplug(self) -> None:
        """The cable is pulled."""
        if self._ours >= 0:
            asyncio.get_running_loop().remove_reader(self._ours)
            asyncio.get_running_loop().remove_writer(self._ours)
            os.close(self._ours)
            os.close(self._theirs)
            self._ours = self._theirs = -1

    async def wait_for(self, condition: Callable[[], object]) -> None:
        """Return when a condition holds that a command makes true."""
        async with asyncio.timeout(20):
            while not condition():
                self._came.clear()
                await self._came.wait()

    def say(self, *lines: str) -> None:
        """Lines, unasked or not; a method that has succeeded listens no more."""
        if any("WIFI_CONNECT_SUCCESS" in line for line in lines):
            self.listening = ""
        self.raw("".join(f"{line}\r\n" for line in lines).encode())

    def raw(self, data: bytes) -> None:
        """Octets; in pieces and late where there is mischief, but in their order."""
        if self._random is None:
            self._write(data)
            return
        if self._random.random() < 0.3:
            data = (
                self._random.choice(
                    (b"WIFI CONNECTED\r\n", b"+\xff\x07K\r\n", b"\x00\x80\xfe\r\n", b"ERR\r\n")
                )
                + data
            )
        loop = asyncio.get_running_loop()
        cut = self._random.randrange(len(data) + 1)
        for piece in (data[:cut], data[cut:]):
            self._late = max(self._late, loop.time()) + self._random.random() / 50
            loop.call_at(self._late, self._write, piece)

    def reset(self) -> None:
        """It starts anew: what is not in its flash is forgotten."""
        self._echo, self._busy, self._payload, self.listening = True, False, None, ""
        self.joined = self.flash
        self._do(self._leave_broker())
        self.raw(b"\x00\xff\x1b rl\x92l\r\n\r\nready\r\n")

    def checksum(self) -> int:
        """Of the secret."""
        return functools.reduce(operator.xor, self.identity[2].encode(), 0)

    # --- the wire ---------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        self._outgoing += data
        self._flush()

    def _flush(self) -> None:
        if self._ours < 0:
            return
        with contextlib.suppress(BlockingIOError):
            del self._outgoing[: os.write(self._ours, self._outgoing)]
        loop = asyncio.get_running_loop()
        if self._outgoing:
            loop.add_writer(self._ours, self._flush)
        else:
            loop.remove_writer(self._ours)

    def _read(self) -> None:
        try:
            self._buffer += os.read(self._ours, 65536)
        except OSError:
            return
        while True:
            if self._payload is not None:
                size, take = self._payload
                if b"+++" in self._buffer:
                    self._buffer, self._payload = self._buffer.partition(b"+++")[2], None
                    continue
                if len(self._buffer) < size:
                    return
                payload, self._buffer, self._payload = self._buffer[:size], self._buffer[size:], None
                take(payload)
            elif b"\r\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\r\n")
                if line:
                    self._command(line.decode(errors="replace"))
            else:
                return
            self._came.set()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _command(self, line: str) -> None:
        self.heard.append(line)
        if self._echo:
            self.say(line)
        if self._busy:
            self.say("busy p...")
            return
        if self.answers.get(line):
            answer = self.answers[line].pop(0)
            if answer:
                self.say(*answer.split("|"))
            return
        name, _, rest = line.removeprefix("AT").partition("=")
        if not line.startswith("AT"):
            self.say("ERROR")
            return
        attribute = "_on" + re.sub(r"\W", "_", name).lower()
        verb: Callable[[str], None] = getattr(self, attribute, lambda _: self.say("OK"))
        verb(rest)

    def _work(self, work: Coroutine[Any, Any, list[str]]) -> None:
        """Something that takes time; other commands hear that it is busy."""

        async def working() -> None:
            try:
                lines = await work
            finally:
                self._busy = False
            self.say(*lines)

        self._busy = True
        self._do(working())

    def _prompt(self, size: int, take: Callable[[bytes], None]) -> None:
        self._payload = (size, take)
        self.say("OK")
        self.raw(b"> ")

    # --- commands ---------------------------------------------------------------------------------------

    def _one0(self, _: str) -> None:
        self._echo = False
        self.say("OK")

    def _on_rst(self, _: str) -> None:
        self.say("OK")
        self.reset()

    def _on_gmr(self, _: str) -> None:
        self.say("AT version:2.2.0.0", "OK")

    def _listen(self, name: str) -> None:
        self.listening = name
        self.say("OK", f"{name}:OK")

    def _on_tcstartsmart(self, _: str) -> None:
        self._listen("+TCSTARTSMART")

    def _on_tcsap(self, _: str) -> None:
        self._listen("+TCSAP")

    def _on_tcstopsmart(self, _: str) -> None:
        self.listening = ""
        self.say("OK")
        if self.reboots_to_stop:
            self._do(self._rebooting())

    async def _rebooting(self) -> None:
        self._busy = True
        await asyncio.sleep(0.05)
        self.reset()

    _on_tcstopsap = _on_tcstopsmart

    # identity

    def _on_tcdevinfoset_(self, _: str) -> None:
        if self.identity:
            pid, device, _ = self.identity
            self.say(f'+TCDEVINFOSET:1,"{pid}","{device}",{self.checksum()},"ap-guangzhou"')
        self.say("OK")

    def _on_tcdevinfoset(self, rest: str) -> None:
        self.identity = strings(rest)[:3]
        self.say("OK", "+TCDEVINFOSET:OK")

    def _on_tcprdinfoset(self, _: str) -> None:
        self.say("OK", "+TCPRDINFOSET:OK")

    # station

    def _on_cwlap(self, _: str) -> None:
        self.say(*(each.line for each in self.access_points.values()), "OK")

    def _on_cwjap_(self, _: str) -> None:
        found = self.joined
        shown = (
            "No AP"
            if found is None
            else f'+CWJAP:"{escaped(found.ssid)}","{found.bssid}",{found.channel},-44,0,1,3,0,0'
        )
        self.say(shown, "OK")

    def _on_cwjap(self, rest: str) -> None:
        self._work(self._joining(rest))

    async def _joining(self, rest: str) -> list[str]:
        ssid, password, *more = strings(rest)
        pci, limit = re.search(r",([01]),,,1,(\d+)$", rest).groups()  # type: ignore[union-attr] # a test's own script
        left = self.joined is not None
        self.joined = None
        if left:
            self.say("WIFI DISCONNECT")
        found = self.access_points.get(ssid)
        await asyncio.sleep(JOIN_TAKES)  # the time that it takes
        if found is None or (more and more[0] != found.bssid) or (pci == "1" and not found.password):
            return ["+CWJAP:3", "FAIL"]
        if found.password != password:
            return ["+CWJAP:2" if password else "+CWJAP:4", "FAIL"]
        self.say("WIFI CONNECTED")
        if not found.dhcp:
            await asyncio.sleep(int(limit) * GIVES_UP)
            return ["WIFI DISCONNECT", "+CWJAP:1", "FAIL"]
        self.joined = found
        return ["WIFI GOT IP", "", "OK"]

    def _on_cwqap(self, _: str) -> None:
        self.joined = None
        self.say("OK", "WIFI DISCONNECT")

    def _on_cipsta_(self, _: str) -> None:
        address, gateway = ("0.0.0.0", "0.0.0.0") if self.joined is None else ("192.168.7.23", "192.168.7.1")
        self.say(
            *(
                f'+CIPSTA:{key}:"{value}"'
                for key, value in (("ip", address), ("gateway", gateway), ("netmask", "255.255.255.0"))
            ),
            "OK",
        )

    # sockets

    def _on_cipstart(self, rest: str) -> None:
        kind, host = strings(rest)
        port = int(rest.rpartition(",")[2])
        self._work(self._connecting(kind, *self.hosts.get((host, port), (host, port))))

    async def _connecting(self, kind: str, host: str, port: int) -> list[str]:
        try:
            reader, self._socket = await asyncio.open_connection(host, port)
        except OSError:
            return [
                "DNS Fail" if host.endswith(".invalid") else "ERROR" if kind == "TCP" else "FAIL",
                "ERROR",
            ]
        self._do(self._receiving(reader, self._socket))
        return ["CONNECT", "", "OK"]

    async def _receiving(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1460):
                self.raw(b"\r\n+IPD,%d:" % len(data) + data)
        except OSError:
            pass
        finally:
            if self._socket is writer:
                self._socket = None
                self.say("CLOSED")
            writer.close()

    def _on_cipsend(self, rest: str) -> None:
        def send(payload: bytes) -> None:
            if self._socket is None:
                self.say("ERROR")
            else:
                self._socket.write(payload)
                self.say(f"Recv {len(payload)} bytes", "", "SEND OK")

        if self._socket is None:
            self.say("link is not valid", "ERROR")
        else:
            self._prompt(int(rest), send)

    def _on_cipclose(self, _: str) -> None:
        if self._socket is None:
            self.say("ERROR")
        else:
            self._socket.close()
            self._socket = None
            self.say("CLOSED", "OK")

    # the broker

    def info(self) -> DeviceInfo:
        """Its identity as qiot has it."""
        product_id, device_name, secret = self.identity
        return DeviceInfo(product_id, device_name, device_secret=Secret(secret))

    def _on_tcmqttsrv(self, _: str) -> None:
        self.say("OK", "+TCMQTTSRV:OK")

    def _on_tcmqttconn(self, _: str) -> None:
        self.say("OK")
        self._do(self._joining_broker())

    async def _joining_broker(self) -> None:
        try:
            self.link = await TencentBinder(self.info(), HostTransport(), mqtt_url=self.mqtt_url).connect()
        except QiotError:
            self.say("+TCMQTTCONN:FAIL,-103")
        else:
            self.say("+TCMQTTCONN:OK")
            self._do(self._watching(self.link))

    async def _watching(self, link: CloudLink) -> None:
        if await link.wait_lost() is not None:
            self.say("+TCMQTTDISCON,-1")

    def _on_tcmqttsub(self, rest: str) -> None:
        topic = strings(rest)[0]
        self.say("OK")
        self._do(self._subscribing(topic))

    async def _subscribing(self, topic: str) -> None:
        try:
            if self.link is None:
                raise QiotError("not connected")
            await self.link.subscribe(topic, self._arrived)
        except QiotError:
            self.say("+TCMQTTSUB: FAIL,-104")
        else:
            self.say("+TCMQTTSUB: OK")

    def _arrived(self, message: Message) -> None:
        head = f'+TCMQTTRCVPUB:"{escaped(message.topic)}",{len(message.payload)},"'
        self.raw(head.encode() + message.payload + b'"\r\n')

    def _on_tcmqttpubl(self, rest: str) -> None:
        topic, quality, size = strings(rest)[0], *rest.rsplit(",", 2)[1:]
        self._prompt(int(size), lambda payload: self._do(self._publishing(topic, payload, int(quality))))

    async def _publishing(self, topic: str, payload: bytes, quality: int) -> None:
        try:
            if self.link is None:
                raise QiotError("not connected")
            await self.link.publish(topic, payload, quality)
        except QiotError:
            self.say("+TCMQTTPUBL: FAIL-104")
        else:
            self.say("+TCMQTTPUBL: OK")

    def _on_tcmqttdisconn(self, _: str) -> None:
        self.say("OK", "+TCMQTTDISCONN:OK")
        self._do(self._leave_broker())

    async def _leave_broker(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            await link.close()


def strings(rest: str) -> tuple[str, ...]:
    """The string arguments of a command."""
    return tuple(re.sub(r"\\(.)", r"\1", each) for each in re.findall(r'"((?:[^"\\]|\\.)*)"', rest))
