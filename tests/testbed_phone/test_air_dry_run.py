"""What `--dry-run --json` shows is what other people's encoders send, for the same input."""

from __future__ import annotations

import json

import pytest

from qiot.testbed.phone.__main__ import main
from tests.protocols.air.support import vector, vectors


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, object]]:
    assert main([*map(str, arguments), "--dry-run", "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def given(case: dict[str, dict[str, object]], *names: str) -> list[object]:
    """SSID, password, and options whose names in the vectors differ from ours."""
    known = {
        "bssid": "--bssid",
        "ip": "--ip",
        "phone_ip": "--ip",
        "phone_mac": "--mac",
        "pin": "--pin",
        "random": "--random-byte",
        "app_port_mark": "--port-mark",
        "security_ver": "--security-version",
    }
    inputs = case["input"]
    options = [option for name in names for option in (known[name], inputs[name])]
    return ["--ssid", inputs["ssid"], "--password", inputs["password"], *options]


@pytest.mark.parametrize("name", vectors("esptouch-v1"))
def test_smartconfig(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = vector(name)
    casts = shown(capsys, "smartconfig", *given(case, "bssid", "ip"))
    assert [cast["length"] for cast in casts if cast["part"] == "guide"] == case["guide"]
    assert [cast["length"] for cast in casts if cast["part"] == "data"] == case["datum"]
    assert [cast["part"] for cast in casts[:5]] == ["guide"] * 4 + ["data"]
    assert {(cast["to"], cast["port"]) for cast in casts} == {("255.255.255.255", 7001)}


@pytest.mark.parametrize("name", vectors("esptouch-v2"))
def test_esptouch2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = vector(name)
    options = given(case, "bssid", "ip", "app_port_mark", "security_ver")
    if case["input"]["aes_key"]:
        options += ["--key", f"hex:{case['input']['aes_key']}"]
    if case["input"]["reserved_hex"]:
        options += ["--reserved", f"hex:{case['input']['reserved_hex']}"]
    casts = shown(capsys, "esptouch2", *options, "--seed", 5)
    lengths = [cast["length"] for cast in casts]
    assert len(lengths) == len(case["lengths"])
    varying = set(case["random_dependent_indexes"])
    for index, (ours, theirs) in enumerate(zip(lengths, case["lengths"], strict=True)):
        assert ours == theirs or index in varying
    assert casts == shown(capsys, "esptouch2", *options, "--seed", 5)
    if case["input"]["aes_key"] and case["input"]["security_ver"] == 2:
        assert casts != shown(capsys, "esptouch2", *options, "--seed", 6)


@pytest.mark.parametrize("name", ["airkiss-1", "airkiss-3"])
def test_airkiss(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = vector(name)
    casts = shown(capsys, "airkiss", *given(case, "random"))
    for part in ("guide", "magic", "prefix", "data"):
        assert [cast["length"] for cast in casts if cast["part"] == part] == case[part]
    assert [cast["length"] for cast in casts][:8] == case["guide"] + case["magic"]


def test_airkiss_with_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    case = vector("airkiss-aes-1")
    casts = shown(capsys, "airkiss", *given(case, "random"), "--key", case["input"]["aes_key"])
    lengths = [cast["length"] for cast in casts]
    assert case["lengths"][-len(lengths[8:]) :] == lengths[8:]
    key = case["input"]["aes_key"].encode().hex()
    assert casts == shown(capsys, "airkiss", *given(case, "random"), "--key", f"hex:{key}")


@pytest.mark.parametrize("name", vectors("realtek"))
def test_simpleconfig(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's salt is put in: it comes from the C library's generator."""
    case = vector(name)
    pattern = int(name.split("-p")[1][0])
    salt = b"" if pattern == 4 else bytes(int(to.split(".")[3]) - 48 for to, _, _ in case["packets"][5:9])
    options = [*given(case, "phone_ip", "phone_mac", "pin"), "--pattern", pattern]
    if case["input"]["flag"] == 0x10:
        options.append("--plain")
    monkeypatch.setattr("secrets.token_bytes", lambda size: (salt or bytes(4))[:size])
    casts = shown(capsys, "simpleconfig", *options)
    assert [[cast["to"], cast["port"], cast["length"]] for cast in casts] == case["packets"]


def test_what_is_random_is_the_same_with_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simpleconfig", "--ssid", "Home", "--password", "12345678", "--ip", "10.0.0.2"]
    one, other, third = (shown(capsys, *arguments, "--seed", seed) for seed in (1, 1, 2))
    assert one == other != third
    arguments[0] = "airkiss"
    one, other, third = (shown(capsys, *arguments, "--seed", seed) for seed in (1, 1, 2))
    assert one == other != third


@pytest.mark.parametrize("command", ["smartconfig", "esptouch2", "airkiss", "simpleconfig"])
@pytest.mark.parametrize("ssid", ["会议室".encode(), "会议室".encode("gbk"), b"x" * 32])
def test_an_ssid_is_octets(command: str, ssid: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [command, "--password", "x" * 64, "--bssid", "0a-1b-2c-3d-4e-5f", "--ip", "10.0.0.2"]
    by_digits = shown(capsys, *arguments, "--seed", 1, "--ssid-hex", ssid.hex())
    as_given = ssid.decode(errors="surrogateescape")  # what Python makes of the shell's octets
    assert by_digits == shown(capsys, *arguments, "--seed", 1, "--ssid", as_given)


def test_simpleconfig_takes_the_bssid_for_the_phone_where_nothing_else_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["simpleconfig", "--ssid", "Home", "--ip", "10.0.0.2", "--seed", "1"]
    one = shown(capsys, *arguments, "--bssid", "0a1b2c3d4e5f")
    assert one == shown(capsys, *arguments, "--mac", "0a:1b:2c:3d:4e:5f", "--bssid", "000000000001")


def test_a_dry_run_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["airkiss", "--ssid", "Home", "--random-byte", "0x10", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("guide       1 octets to 255.255.255.255:10001\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["smartconfig"],
        ["smartconfig", "--ssid", ""],
        ["smartconfig", "--ssid", "x" * 33],
        ["smartconfig", "--ssid", "Home", "--password", "s3cret" * 11],
        ["smartconfig", "--ssid", "Home", "--bssid", "0a:1b"],
        ["smartconfig", "--ssid", "Home", "--bssid", "nonsense"],
        ["smartconfig", "--ssid", "Home", "--ip", "1.2.3"],
        ["smartconfig", "--ssid", "Home", "--ip", "::1"],
        ["smartconfig", "--ssid", "Home", "--key", "s3cret"],
        ["smartconfig", "--ssid", "Home", "--key=s3cret"],
        ["smartconfig", "--ssid", "Home", "s3cret"],
        ["smartconfig", "--ssid-hex", "0"],
        ["smartconfig", "--ssid", "Home", "--interface", "nosuch0"],
        ["esptouch2", "--ssid", "Home", "--key", "s3cret"],
        ["esptouch2", "--ssid", "Home", "--key", "hex:s3cret"],
        ["esptouch2", "--ssid", "Home", "--reserved", "x" * 65],
        ["esptouch2", "--ssid", "Home", "--port-mark", "4"],
        ["esptouch2", "--ssid", "Home", "--security-version", "3"],
        ["airkiss", "--ssid", "Home", "--random-byte", "256"],
        ["airkiss", "--ssid", "Home", "--key", "s3cret-s3cret-s3cret"],
        ["simpleconfig", "--ssid", "Home", "--pattern", "1"],
        ["simpleconfig", "--ssid", "Home", "--pattern", "3"],
        ["simpleconfig", "--ssid", "Home", "--pattern", "4", "--plain"],
    ],
)
def test_wrong_use_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--dry-run"])
    assert ended.value.code == 2
    assert "s3cret" not in capsys.readouterr().err
