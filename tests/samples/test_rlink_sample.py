"""The samples with an rlink identity, as a user runs them."""

from __future__ import annotations

import json

import pytest

from tests.samples.program import run

SAMPLE = "qiot.samples.wifi_config_sample"
ENTRY = {
    "cloud": "rlink",
    "productId": "fFMes8kzaLRHMy",
    "deviceName": "rn01b55A74fa0c16",
    "key_deviceinfo": {"deviceSecret": "bd2625eb1fa0499ea60aadd09ae0a184"},
}
OFFER = {
    "method": "bt_combo",
    "ssid": "Home",
    "password": "home-password",
    "cloud": "rlink",
    "token": "1740300523660267520",
    "params": {"bid": "1740300523660267520", "userId": "us1", "tz": "Asia/Kolkata"},
}
HAL = "mock,ssid=Home,password=home-password,offers=offers.json"
COMMAND = ("-c", "rlink.json", "--hal", HAL, "--method", "bt_combo", "--udp", "127.0.0.1:0")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rlink.json").write_text(json.dumps(ENTRY))
    (tmp_path / "offers.json").write_text(json.dumps([OFFER]))
    return tmp_path


async def test_bound_at_the_local_cloud(folder):
    code, output, errors = await run(SAMPLE, *COMMAND, "--option", "style=sentino", folder=folder)
    assert (code, errors) == (0, "")
    for part in (
        "mqtt connect with id: rlink_rn01b55A74fa0c16_V2",
        "bind reply res = 0",
        "Device bind success!",
    ):
        assert part in output
    assert "demo" not in output
    for secret in ("bd2625eb1fa0499ea60aadd09ae0a184", "home-password"):
        assert secret not in output


async def test_dynamic_registration_is_saved(folder):
    new = {key: value for key, value in ENTRY.items() if key != "key_deviceinfo"}
    new |= {"deviceName": "unit-7", "productSecret": "a-product-secret"}
    (folder / "rlink.json").write_text(json.dumps(new))
    code, output, errors = await run(SAMPLE, *COMMAND, folder=folder)
    assert (code, errors) == (0, "")
    saved = json.loads((folder / "rlink.json").read_text())
    assert saved["deviceName"].startswith("rn01")
    assert len(saved["key_deviceinfo"]["deviceSecret"]) == 32
    assert saved["key_deviceinfo"]["deviceSecret"] not in output


async def test_at_the_vendors_cloud_the_phone_has_to_name_the_broker(folder):
    code, _, errors = await run(SAMPLE, *COMMAND, "--cloud", "rlink", "--timeout", "1", folder=folder)
    assert code == 2
    assert "no broker is known" in errors


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cloud", "tencent"), "is of a device at rlink"),
        (("--phone", "sim"), "no app of rlink"),
        (("--security", "psk"), "psk"),
        (("--dynreg-url", "http://127.0.0.1:1"), "no registration gateway"),
        (("--newer-dynreg",), "no registration gateway"),
        (("--option", "style"), "NAME=VALUE"),
        (("--option", "=x"), "NAME=VALUE"),
    ],
)
async def test_what_does_not_go_together(folder, options, says):
    code, _, errors = await run(SAMPLE, *COMMAND, *options, folder=folder)
    assert code == 2
    assert says in errors


async def test_rlink_needs_a_device_of_ones_own(tmp_path):
    code, _, errors = await run(SAMPLE, "--cloud", "rlink", folder=tmp_path)
    assert code == 2
    assert "device of your own" in errors


async def test_a_tencent_device_is_not_at_rlink(folder):
    entry = {key: value for key, value in ENTRY.items() if key != "cloud"} | {"productId": "L4WG9V9M2M"}
    (folder / "rlink.json").write_text(json.dumps(entry))
    code, _, errors = await run(SAMPLE, "-c", "rlink.json", "--cloud", "rlink", folder=folder)
    assert code == 2
    assert "is of a device at tencent" in errors


async def test_other_samples(folder):
    code, _, errors = await run("qiot.samples.property_sample", "-c", "rlink.json", folder=folder)
    assert code == 2
    assert "another form" in errors
    new = {key: value for key, value in ENTRY.items() if key != "key_deviceinfo"}
    (folder / "rlink.json").write_text(json.dumps(new | {"deviceName": "u7", "productSecret": "secret"}))
    code, output, errors = await run("qiot.samples.dynreg_dev_sample", "-c", "rlink.json", folder=folder)
    assert (code, errors) == (0, "")
    assert "is registered" in output
    assert json.loads((folder / "rlink.json").read_text())["deviceName"].startswith("rn01")
