"""The whole way on one bench: the device's sample, a phone, a home network with a cloud behind it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from lab.support.bench import Bench
from lab.support.cloud import Cloud
from lab.support.home_ap import HomeAp
from lab.support.namespaces import Namespace
from lab.support.phone import Phone
from lab.support.programs import Daemon, FailedError, run
from lab.support.radios import Radio
from lab.support.waiting import until

__all__ = ["DEVICE_PASSWORD", "DEVICE_SSID", "STATE", "Application", "Device", "Provisioning"]

DEVICE_SSID: Final = b"qcloud-softap"
DEVICE_PASSWORD: Final = "12345678"  # noqa: S105 - the C SDK's, which every phone knows
STATE: Final = Path("/run/device-state")
"""The device's folder of what survives its process; empty when a bench begins."""
_FREQUENCIES: Final = (2412, 2437, 2462, 5180)
_LISTENS: Final = ("listening on", "listening to the air")
_PYTHON: Final = os.environ.get("LAB_PYTHON", "python3")


_IDENTITY: Final = {
    "auth_mode": "KEY",
    "productId": "QIOTDEMO01",
    "productSecret": "qiot-demo-product-secret",
    "deviceName": "demo-device-1",
    "region": "china",
    "key_deviceinfo": {"deviceSecret": "YOUR_IOT_PSK"},
}
"""The local cloud's demo device, not registered yet."""


class Device:
    """`wifi_config_sample` on the device's radio, as a user starts it.

    Args:
        radio: The device's radio, in the root namespace.
        cloud: The cloud that it is told of.
        method: Its --method.
        spec: More of its --hal, as "ap_sta=no".
        options: More of its command line.
    """

    def __init__(
        self,
        radio: Radio,
        cloud: Cloud,
        *,
        method: str = "soft_ap",
        spec: str = "",
        options: Sequence[str] = (),
    ) -> None:
        hal = ",".join(filter(None, (f"linux:{radio.interface}", f"state={STATE}", spec)))
        words = [_PYTHON, "-m", "qiot.samples.wifi_config_sample", "--hal", hal, "--method", method]
        words += [
            "-c",
            str(_identity()),
            "--dynreg-url",
            cloud.http_url,
            "--mqtt-url",
            cloud.mqtt_url,
            "--log-level",
            "debug",
        ]
        self._daemon = Daemon("device", [*words, *options])

    def start(self) -> None:
        """Start it and wait until it listens: in its access point, or to the air."""
        self._daemon.start(lambda: any(text in self.text() for text in _LISTENS), 90)

    def launch(self) -> None:
        """Start it and wait for nothing."""
        self._daemon.start()

    def text(self) -> str:
        """What it has said."""
        return self._daemon.text()

    def wait_for(self, text: str, seconds: float = 90.0) -> None:
        """Wait until it says `text`; it fails at once where the program ends without saying so."""
        until(lambda: text in self.text() or not self._daemon.running, f"the device says {text!r}", seconds)
        if text not in self.text():
            raise FailedError(f"the device ended without {text!r}:\n{self.text()[-6000:]}")

    def wait(self, seconds: float = 120.0) -> int:
        """Wait for its end; gives its exit status."""
        return self._daemon.wait(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self._daemon.kill()

    def stop(self) -> None:
        """SIGTERM; it undoes what is not finished."""
        self._daemon.stop(60)


class Application:
    """`qiot.testbed.phone` on a phone.

    Args:
        phone: Where it runs: in the device's access point, or at home where it sends through the air.
        home: The network that it gives to the device.
        token: The token for the device.
        password: The network's password, where it is not the right one.
        app_url: The cloud's address for it, to wait until the device is bound.
        command: Its way to the device: softap, smartconfig, esptouch2, airkiss or simpleconfig.
        options: More of its command line.
    """

    def __init__(
        self,
        phone: Phone,
        home: HomeAp,
        token: str,
        *,
        password: str | None = None,
        app_url: str = "",
        command: str = "softap",
        options: Sequence[str] = (),
    ) -> None:
        words = [_PYTHON, "-m", "qiot.testbed.phone", command, "--json", "--token", token, *options]
        words += ["--ssid", home.ssid.decode(), "--password", password or home.password or ""]
        self._daemon = phone.daemon("application", [*words, *(["--app-url", app_url] if app_url else [])])

    def start(self) -> None:
        """Begin to send."""
        self._daemon.start()

    def told(self, event: str | None = None) -> list[dict[str, Any]]:
        """What it has told so far, in its own JSON."""
        lines = self._daemon.text().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [each for each in told if event is None or each["event"] == event]

    def wait_for(self, event: str, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Wait until it tells an event of this kind; gives those."""
        until(lambda: self.told(event) or not self._daemon.running, f"the phone tells {event}", seconds)
        if not self.told(event):
            raise FailedError(f"the phone ended without {event}:\n{self._daemon.text()}")
        return self.told(event)

    def wait(self, seconds: float = 90.0) -> int:
        """Wait for its end; gives its exit status."""
        return self._daemon.wait(seconds)

    def stop(self) -> None:
        """Stop it. Stopping twice is harmless."""
        self._daemon.stop()


class Provisioning:
    """A device, a home with the local cloud, a phone, and a radio to spare.

    Args:
        bench: What it is built on.
        channel: The home's channel.
    """

    def __init__(self, bench: Bench, *, channel: int = 6) -> None:
        self._bench = bench
        shutil.rmtree(STATE, ignore_errors=True)
        self.radio, second, third, self._spare = bench.radios(4)
        self._parking = bench.namespace("parking")
        self._spare.move(self._parking)  # out of sight of the device's managers
        self.home = bench.home_ap(second, channel=channel)
        self.cloud = bench.cloud(self.home)
        self.phone = bench.phone(third)
        self._watch: threading.Thread | None = None

    def spare(self) -> Radio:
        """The fourth radio, in the parking namespace, for a second access point."""
        return self._spare

    def when_joined(self, action: Callable[[], object]) -> None:
        """Do something as soon as the home has taken the device in, while the test goes on."""

        def watch() -> None:
            until(lambda: self.home.joins(self.radio.address), "the device associates", 120, every=0.02)
            action()

        self._watch = threading.Thread(target=watch, name="when joined")
        self._watch.start()
        self._bench.stack.callback(self._watch.join)

    def device(self, *, method: str = "soft_ap", spec: str = "", options: Sequence[str] = ()) -> Device:
        """The device's program, not started yet; stopped when the bench ends."""
        device = Device(self.radio, self.cloud, method=method, spec=spec, options=options)
        self._bench.stack.callback(device.stop)
        return device

    def application(
        self,
        command: str = "softap",
        *,
        token: str = "",
        password: str | None = None,
        until_bound: bool = False,
        options: Sequence[str] = (),
    ) -> Application:
        """The phone's program, not started yet, with a new token of the cloud's where none is given."""
        url = f"{self.cloud.http_url}/app"
        application = Application(
            self.phone,
            self.home,
            token or self._token(url),
            password=password,
            app_url=url if until_bound else "",
            command=command,
            options=options,
        )
        self._bench.stack.callback(application.stop)
        return application

    def join_device(self) -> None:
        """Let the phone into the device's access point, with an address of its DHCP."""
        address = self.phone.join(DEVICE_SSID, DEVICE_PASSWORD, frequencies=_FREQUENCIES)
        if not address.startswith("192.168.4."):
            raise FailedError(f"the phone got the address {address} in the device's access point")

    def bound(self) -> int:
        """How often the cloud has accepted a token of the device's."""
        bound = [each for each in self.cloud.records("bind") if "family" not in each]
        return sum(each.get("code") == 0 for each in bound)

    def _token(self, url: str) -> str:
        body = json.dumps({"Action": "AppCreateBindToken"})
        answer = self._post(self.home.namespace, url, body)
        return str(json.loads(answer)["Response"]["Data"]["Token"])

    @staticmethod
    def _post(namespace: Namespace, url: str, body: str) -> str:
        return run(["busybox", "wget", "-q", "-O", "-", "--post-data", body, url], namespace=namespace.name)


def _identity() -> Path:
    """The device's identity file; one that is there keeps the secret of its registration."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = STATE / "device_info.json"
    if not path.exists():
        path.write_text(json.dumps(_IDENTITY))
    return path
