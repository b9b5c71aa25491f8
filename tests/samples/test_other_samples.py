"""Registration alone and properties alone, as a user runs them."""

from __future__ import annotations

import json

from tests.samples.program import Program, run

DYNREG = "qiot.samples.dynreg_dev_sample"
PROPERTY = "qiot.samples.property_sample"


async def test_registration_alone(tmp_path, identity):
    path = identity()
    code, out, err = await run(DYNREG, "-c", path.name, folder=tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "L4WG9V9M2M/TEST2 is registered; saved in device_info.json"
    secret = json.loads(path.read_text())["key_deviceinfo"]["deviceSecret"]
    assert secret not in out
    before = path.read_bytes()

    code, out, err = await run(DYNREG, "-c", path.name, folder=tmp_path)
    assert (code, err) == (0, "")
    assert out == "L4WG9V9M2M/TEST2 has its secret already: nothing to do"
    assert path.read_bytes() == before


async def test_registration_of_the_demo_identity_is_not_saved(tmp_path):
    code, out, err = await run(DYNREG, folder=tmp_path)
    assert (code, err) == (0, "")
    assert "not saved" in out
    assert list(tmp_path.iterdir()) == []


async def test_registration_that_is_refused_is_1_and_changes_nothing(tmp_path, identity, cloud):
    mode = tmp_path / "mode.json"
    mode.write_text('{"dynreg": {"do": "code", "code": 1021}}')
    path = identity()
    before = path.read_bytes()
    _, urls = await cloud("--devices", path, "--mode", mode)
    where = ("--dynreg-url", urls["http"], "--mqtt-url", urls["mqtt"])
    code, _, err = await run(DYNREG, "-c", path, *where, folder=tmp_path)
    assert code == 1
    assert err.count("\n") == 1
    assert "registration refused" in err
    assert path.read_bytes() == before


async def test_registration_without_a_product_secret_is_2(tmp_path, identity):
    path = identity(productSecret="YOUR_PRODUCT_SECRET")
    code, _, err = await run(DYNREG, "-c", path, folder=tmp_path)
    assert code == 2
    assert "productSecret" in err


async def test_properties_alone(tmp_path, identity):
    stored = {"key_deviceinfo": {"deviceSecret": "MLvMHde65nKPk0Lx+ZThaA=="}}
    code, out, err = await run(PROPERTY, "-c", identity(**stored), folder=tmp_path)
    assert (code, err) == (0, "")
    assert "get_status_reply" in out
    assert "report_reply" in out
    assert "do dyn reg!" not in out


async def test_properties_that_are_not_answered_are_1(tmp_path, identity, cloud):
    mode = tmp_path / "mode.json"
    mode.write_text('{"property_reply": {"do": "code", "code": 405}}')
    stored = {"key_deviceinfo": {"deviceSecret": "MLvMHde65nKPk0Lx+ZThaA=="}}
    path = identity(**stored)
    _, urls = await cloud("--devices", path, "--mode", mode)
    where = ("--dynreg-url", urls["http"], "--mqtt-url", urls["mqtt"])
    code, out, err = await run(PROPERTY, "-c", path, *where, folder=tmp_path)
    assert code == 1
    assert "405" in out + err


async def test_properties_report_until_interrupted(tmp_path):
    async with Program(PROPERTY, "-l", folder=tmp_path) as sample:
        await sample.find(r'"method":"report".*"brightness": 1')
        sample.interrupt()
        code, _, _ = await sample.end()
    assert code == 0
