"""Through the air on simulated radios: the phone sends in its network, the device listens and joins."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from lab.support.bench import Bench
from lab.support.managers import WithSupplicant
from lab.support.programs import run
from lab.support.provisioning import Provisioning

COMMANDS = {
    "smart_config": "smartconfig",
    "esptouch_v2": "esptouch2",
    "airkiss": "airkiss",
    "simple_config": "simpleconfig",
}


def provision(bench: Bench, method: str, options: Sequence[str] = ()) -> None:
    """One run, from the phone in its own network to the end of the device's program."""
    lot = Provisioning(bench, channel=11)
    WithSupplicant(lot.radio).start(bench)
    device = lot.device(options=("--method", method, *options))
    device.launch()
    device.wait_for("listening to the air")
    lot.phone.join(lot.home.ssid, lot.home.password, frequencies=[lot.home.frequency])
    token = lot._token(f"{lot.cloud.http_url}/app")
    words = [os.environ.get("LAB_PYTHON", "python3"), "-m", "qiot.testbed.phone", COMMANDS[method], "--json"]
    words += ["--ssid", lot.home.ssid.decode(), "--password", lot.home.password or "", "--token", token]
    phone = lot.phone.daemon("air phone", [*words, "--interface", lot.phone.radio.interface])
    bench.stack.callback(phone.stop)
    phone.start()
    assert device.wait(150) == 0, device.text()[-6000:] + phone.text()[-3000:]
    assert lot.bound() == 1
    assert phone.wait(60) == 0, phone.text()[-3000:]
    shown = run(["iw", "dev"])
    assert "type monitor" not in shown, shown
    assert shown.count("Interface") == 1, shown


@pytest.mark.smoke
@pytest.mark.vm("smoke")
@pytest.mark.duration(90)
@pytest.mark.limit(400)
@pytest.mark.parametrize("method", ["smart_config", "airkiss"])
def test_a_phone_in_its_network_binds_the_device(bench: Bench, method: str) -> None:
    provision(bench, method)


@pytest.mark.duration(90)
@pytest.mark.limit(400)
@pytest.mark.parametrize("method", ["esptouch_v2", "simple_config"])
def test_so_do_the_others(bench: Bench, method: str) -> None:
    provision(bench, method)
