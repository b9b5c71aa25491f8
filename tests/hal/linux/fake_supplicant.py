"""A wpa_supplicant without a radio, on a real Unix socket, and a kernel's network side to go with it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import attrs


@attrs.define
class FakeNetwork:
    """A network block."""

    settings: dict[str, str] = attrs.field(factory=dict)
    disabled: bool = True


class FakeSupplicant:
    """Speaks the control interface.

    Args:
        path: Its socket.

    Attributes:
        networks: What it knows.
        current: The network it is in.
        tells: What it tells after SELECT_NETWORK, `{id}` is filled in; a CONNECTED joins.
        answers: Answers that differ from the usual ones.
        slow: How often it is asked for its state before it begins what REASSOCIATE says.
        mute: It takes requests and says nothing.
        asked: All requests.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.networks: dict[int, FakeNetwork] = {}
        self.current: int | None = None
        self.saved: dict[int, dict[str, str]] | None = None
        self.tells: list[str] = ["CTRL-EVENT-CONNECTED - Connection completed [id={id} id_str=]"]
        self.answers: dict[str, str] = {}
        self.mute = False
        self.slow = 0
        self._slow = 0
        self.asked: list[str] = []
        self.listeners: list[bytes | str] = []
        self._socket: socket.socket | None = None
        self._next = 0

    def start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._socket = end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        end.bind(str(self.path))
        asyncio.get_running_loop().add_reader(end, self._read)

    def stop(self) -> None:
        """As killed: its socket's file stays."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self.listeners.clear()
        self.current = None

    def tell(self, text: str) -> None:
        for each in [*self.listeners]:
            self._send(f"<3>{text}", each)

    def know(self, ssid: str, *, enabled: bool = True) -> int:
        number, self._next = self._next, self._next + 1
        self.networks[number] = FakeNetwork({"ssid": f'"{ssid}"'}, disabled=not enabled)
        return number

    def _send(self, text: str, address: bytes | str) -> None:
        with contextlib.suppress(OSError):  # whoever listened is gone
            if self._socket is not None:
                self._socket.sendto(text.encode(), address)

    def _read(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data, address = self._socket.recvfrom(65536)
            except BlockingIOError:
                return
            request = data.decode()
            self.asked.append(request)
            if self.mute:
                continue
            if request == "ATTACH":
                self.listeners.append(address)
            elif request == "DETACH":
                self.listeners = [each for each in self.listeners if each != address]
            verb, _, rest = request.partition(" ")
            handler: Callable[[str], str] | None = getattr(self, f"_{verb.lower()}", None)
            usual = handler(rest) if handler is not None else "OK"
            self._send(self.answers.get(verb, usual) + "\n", address)
            if verb == "SELECT_NETWORK":
                for text in self.tells:
                    if text.startswith("CTRL-EVENT-CONNECTED"):
                        self.current = int(rest)
                    self.tell(text.replace("{id}", rest))

    def _ping(self, rest: str) -> str:
        return "PONG" + rest

    def _status(self, rest: str) -> str:
        if self.current is None:
            self._slow = max(self._slow - 1, 0)
            return ("wpa_state=DISCONNECTED" if self._slow else "wpa_state=SCANNING") + rest
        return f"ssid={_shown(self.networks[self.current])}\nwpa_state=COMPLETED"

    def _reassociate(self, rest: str) -> str:
        self._slow = self.slow
        return "OK" + rest

    def _list_networks(self, rest: str) -> str:
        lines = ["network id / ssid / bssid / flags" + rest]
        for number, network in self.networks.items():
            ssid = _shown(network)
            flags = "[CURRENT]" if number == self.current else ""
            flags += "[DISABLED]" if network.disabled else ""
            lines.append(f"{number}\t{ssid}\tany\t{flags}")
        return "\n".join(lines)

    def _add_network(self, rest: str) -> str:
        del rest
        number, self._next = self._next, self._next + 1
        self.networks[number] = FakeNetwork()
        return str(number)

    def _set_network(self, rest: str) -> str:
        number, name, value = rest.split(" ", 2)
        self.networks[int(number)].settings[name] = value
        return "OK"

    def _get_network(self, rest: str) -> str:
        number, name = rest.split(" ")
        return self.networks[int(number)].settings.get(name, "0" if name == "priority" else "FAIL")

    def _remove_network(self, rest: str) -> str:
        if self.current == int(rest):
            self.current = None
        return "OK" if self.networks.pop(int(rest), None) else "FAIL"

    def _enable_network(self, rest: str) -> str:
        network = self.networks.get(int(rest.split(maxsplit=1)[0]))
        if network is None:
            return "FAIL"
        network.disabled = False
        return "OK"

    def _select_network(self, rest: str) -> str:
        self.current = None
        for number, network in self.networks.items():
            network.disabled = number != int(rest)
        return "OK"

    def _save_config(self, rest: str) -> str:
        del rest
        if "SAVE_CONFIG" in self.answers:
            return "FAIL"
        self.saved = {number: dict(each.settings) for number, each in self.networks.items()}
        return "OK"


def _shown(network: FakeNetwork) -> str:
    """The name as it is listed; settings have it in quotes or as hexadecimal digits."""
    ssid = network.settings.get("ssid", "")
    return ssid.strip('"') if '"' in ssid else bytes.fromhex(ssid).decode()


class FakeAddresses:
    """The kernel's network side: the station has an address while it is in a network that gives one."""

    def __init__(self, supplicant: FakeSupplicant) -> None:
        self._supplicant = supplicant
        self.gives = True

    async def addresses(self, name: str) -> list[tuple[str, int]]:
        del name
        return [("192.168.77.10", 24)] if self.gives and self._supplicant.current is not None else []

    async def gateway(self, name: str) -> str | None:
        del name
        return "192.168.77.1"

    async def exists(self, name: str) -> bool:
        del name
        return True

    async def flush(self, name: str) -> None:
        del name

    async def close(self) -> None:
        return
