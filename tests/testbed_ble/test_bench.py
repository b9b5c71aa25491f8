"""The byte bench: recorded sessions on it, both sides against each other, its clock, and what it refuses."""

import io
import json
import subprocess
import sys
from collections import deque

import pytest

from qiot.errors import ConfigurationError
from qiot.protocols.ble.thing_frames import frames
from qiot.testbed.ble.__main__ import main
from qiot.testbed.ble.bench import Bench, make_bench
from qiot.testbed.ble.codecs import PROTOCOLS
from tests.protocols.ble.pair import vector
from tests.protocols.ble.recordings import recording

TOKEN = "69f978dfbb48ec40cadb6d9af470d0f6"
PASSWORD = "s3cret-wifi-pass"
CONNECT = ({"event": "connected"}, {"event": "subscribed"})


def bench(protocol: str, side: str, **config) -> tuple[Bench, list[dict]]:
    out: list[dict] = []
    return make_bench(protocol, side, config, lambda line: out.append(json.loads(line))), out


def play(protocol: str, side: str, lines, **config) -> list[dict]:
    made, out = bench(protocol, side, **config)
    for line in lines:
        made.line(line if isinstance(line, str) else json.dumps(line))
    made.end()
    return out


def octets(out: list[dict]) -> list[str]:
    return [line["hex"] for line in out if "hex" in line]


def values(texts, char: str) -> list[dict]:
    return [{"char": char, "hex": text} for text in texts]


# --- recorded sessions ---

NETWORKS = [
    {"ssid": "TP-LINK_2G", "signal": -48},
    {"ssid": "客厅", "signal": -61},
    {"ssid": "guest", "signal": -80},
]


@pytest.mark.parametrize("name", ["plain", "secure"])
def test_a_recorded_blufi_session_on_the_device_s_side(name):
    found = recording(f"blufi_v1_session_{name}_mtu23")
    keys = {}
    if found.device is not None:
        assert found.device.key is not None
        keys = {"keys": {"public": found.device.public.hex(), "key": found.device.key.reveal().hex()}}
    out = play(
        "blufi",
        "device",
        [*CONNECT, {"event": "mtu", "size": found.mtu}, *values(found.of("phone->dev"), "ff01")],
        networks=NETWORKS,
        wifi={"detail": {"bssid": "11:22:33:44:55:66"}},
        bind=None,
        identity={"product_id": ""},
        options={"custom": "echo"},
        **keys,
    )
    assert octets(out) == found.of("dev->phone")


def test_a_recorded_blufi_session_on_the_phone_s_side():
    found = recording("blufi_v2_session_v1.4_secure_mtu247")
    assert found.phone is not None
    assert found.phone.shared is not None
    out = play(
        "blufi",
        "phone",
        [
            {"event": "connected"},
            {"event": "mtu", "size": 247},
            {"event": "subscribed"},
            *values(found.of("dev->phone"), "ff02"),
        ],
        keys={"public": found.phone.public.hex(), "shared": found.phone.shared.reveal().hex()},
        phone={
            "ssid": "客厅AP",
            "password": "p@ssw0rd-long-enough-to-fragment",
            "wanted": ["security", "networks", "join", "status", "custom"],
            "custom": "hello custom data that is longer than one packet",
        },
    )
    assert octets(out) == found.of("phone->dev")
    assert out[-1]["tell"]["last"]


def test_the_key_exchange_of_a_device_from_its_random_octets():
    found = recording("blufi_v2_session_v1.4_secure_mtu247")
    assert found.private is not None
    out = play(
        "blufi",
        "device",
        [*CONNECT, {"event": "mtu", "size": 247}, *values(found.of("phone->dev")[:6], "ff01")],
        random=found.private.hex(),
        options={"version": "1.4"},
    )
    assert octets(out) == [text for text in found.of("dev->phone") if text[:2] in ("41", "01")]


@pytest.mark.parametrize("number", range(4))
def test_tencent_s_mini_program_on_the_device_s_side(number):
    run = vector("tencent_phone_plugin")["btcombo_phone_tx"][number]
    dialect = {0: "v1", 1: "v1", 2: "v2", 512: "v3"}[run["assumedDeviceVersion"]]
    frames = [frame for step in run["steps"] for frame in step["frames"]]
    config = {"options": {"dialect": dialect}, "log": ["one\r\n"], "show_secrets": True}
    out = play("btcombo", "device", [*CONNECT, *values(frames, "ff01")], **config)
    credentials, grant = [line["offer"] for line in out if "offer" in line]
    assert (credentials["ssid"], credentials["password"]) == (run["ssid"], run["password"])
    assert grant["token"] == run["token"]
    told = [line["tell"]["step"] for line in out if "step" in line.get("tell", {})]
    assert told[-1] == "bound"
    sent = "".join(octets(out))
    assert run["ssid"].encode().hex() in sent


def test_tencent_s_own_llsync_device_on_the_phone_s_side():
    run = vector("llsync_device_c")["runs"][0]
    log = [line.split(" ", 1) for line in run["device_log"]]
    out = play(
        "llsync",
        "phone",
        [
            {"event": "connected"},
            {"event": "subscribed"},
            *values([text for kind, text in log if kind == "NOTIFY"][:5], "ffe3"),
        ],
        phone={"ssid": run["ssid"], "password": run["password"], "token": TOKEN},
    )
    recorded = [text for kind, text in log if kind == "WRITE" and text[:2] in ("e0", "e1", "e2", "e3", "e4")]
    assert [text for text in octets(out) if text[:2] != "09"] == recorded


# --- both sides against each other ---

PHONES = {
    "blufi": {"ssid": "Home", "password": PASSWORD, "token": TOKEN},
    "btcombo": {"ssid": "Home", "password": PASSWORD, "token": TOKEN},
    "llsync": {"ssid": "Home", "password": PASSWORD, "token": TOKEN},
    "thing": {"ssid": "Home", "password": PASSWORD, "bid": "b1d", "user_id": "u", "mq": "mq.example"},
}
CHARS = {"blufi": "ff02", "btcombo": "ff02", "llsync": "ffe3", "thing": "2b10"}


def through_each_other(protocol: str, device_config: dict, phone_config: dict, mtu: int) -> tuple[list, list]:
    """Push the lines of one bench into the other until both are silent."""
    device, device_out = bench(protocol, "device", **device_config)
    phone, phone_out = bench(protocol, "phone", **phone_config)
    sides = [(device, device_out, 0), (phone, phone_out, 0)]
    begin = [{"event": "connected"}, {"event": "mtu", "size": mtu}, {"event": "subscribed"}]
    for line in begin:
        device.line(json.dumps(line))
        phone.line(json.dumps(line))
    done = [0, 0]
    for second in range(1, 40):
        moved = True
        while moved:
            moved = False
            for index, (_, out, _) in enumerate(sides):
                queue = deque(out[done[index] :])
                done[index] = len(out)
                for line in queue:
                    if "hex" in line:
                        moved = True
                        sides[1 - index][0].line(json.dumps({"char": line["char"], "hex": line["hex"]}))
        for made, _, _ in sides:
            made.line(json.dumps({"event": "time", "t": second}))
    return device_out, phone_out


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("mtu", [128, 247])
def test_both_sides_through_each_other(protocol, mtu):
    config: dict = {"random": 1}
    if protocol == "blufi":
        config["identity"] = {"product_id": "L4WG9V9M2M", "device_name": "TEST2"}
    phone = {"random": 2, "phone": PHONES[protocol]}
    device_out, phone_out = through_each_other(protocol, config, phone, mtu)
    assert "bound" in [line["tell"].get("step") for line in device_out if "tell" in line]
    last = [line["tell"] for line in phone_out if line.get("tell", {}).get("last")]
    assert len(last) == 1
    assert "reason" not in last[0]
    shown = json.dumps([line for line in device_out + phone_out if "hex" not in line])
    assert PASSWORD not in shown
    assert TOKEN not in shown


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_failed_join_arrives(protocol):
    config = {"random": 1, "wifi": {"result": "wrong password", "delay": 1}}
    device_out, phone_out = through_each_other(
        protocol, config, {"random": 2, "phone": PHONES[protocol]}, 247
    )
    failed = [line["tell"] for line in device_out if line.get("tell", {}).get("outcome") == "failed"]
    assert failed[0]["reason"] == "wrong password"
    last = [line["tell"] for line in phone_out if line.get("tell", {}).get("last")]
    assert "reason" in last[0]


# --- the clock and the script ---

JOIN = values(["0900000461626364", "0c000100"], "ff01")


def steps(out: list[dict]) -> list[tuple[str, str]]:
    return [(line["tell"]["step"], line["tell"]["outcome"]) for line in out if "step" in line.get("tell", {})]


def test_the_session_s_events_in_their_order():
    out = play(
        "btcombo",
        "device",
        [*CONNECT, *JOIN, *values([f"4d000219{b'{'.hex()}" + b'"cmdType":3,"token":"t"}'.hex()], "ff01")],
    )
    assert steps(out) == [
        ("joining", "started"),
        ("listening", "ok"),
        ("joining", "ok"),
        ("registering", "ok"),
        ("connecting", "started"),
        ("connecting", "ok"),
        ("awaiting grant", "started"),
        ("listening", "ok"),
        ("awaiting grant", "ok"),
        ("binding", "started"),
        ("binding", "ok"),
        ("bound", "ok"),
    ]


def test_results_come_when_their_time_has_come():
    made, out = bench("btcombo", "device", wifi=[{"delay": 5}], bind=None)
    for line in (*CONNECT, *JOIN):
        made.line(json.dumps(line))
    assert steps(out) == [("joining", "started")]
    made.line('{"event": "time", "t": 4.9}')
    assert steps(out) == [("joining", "started")]
    made.line('{"event": "time", "after": 0.2}')
    assert steps(out)[-1] == ("joined", "ok")
    with pytest.raises(ConfigurationError, match="goes back"):
        made.line('{"event": "time", "t": 1}')


@pytest.mark.parametrize(("at_end", "ended"), [("stop", False), (4, False), (5, True), ("run", True)])
def test_what_happens_at_the_end_of_the_input(at_end, ended):
    out = play("btcombo", "device", [*CONNECT, *JOIN], wifi={"delay": 5}, at_end=at_end)
    assert (("joining", "ok") in steps(out)) == ended


def test_a_clock_that_steps():
    out = play("btcombo", "device", [*CONNECT, *JOIN, "# nothing", ""], wifi={"delay": 5}, clock={"step": 5})
    assert ("joining", "ok") not in steps(out)
    lines = [*CONNECT, *JOIN, {"char": "ff01", "hex": "1400020000"}]
    out = play("btcombo", "device", lines, wifi={"delay": 5}, clock={"step": 5})
    assert ("joining", "ok") in steps(out)


def test_several_results_in_order_and_failures_of_every_step():
    lines = [*CONNECT, *JOIN, *values(["0c000200", "0c000300"], "ff01")]
    wifi = [{"result": "wrong password", "code": 15}, "no such access point", "ok"]
    out = play("blufi", "device", lines, wifi=wifi, bind={"result": "not reachable", "step": "connecting"})
    failed = [line["tell"] for line in out if line.get("tell", {}).get("outcome") == "failed"]
    assert [(each["step"], each["reason"]) for each in failed] == [
        ("joining", "wrong password"),
        ("joining", "no such access point"),
        ("connecting", "not reachable"),
    ]


def test_several_peers():
    lines = [
        {"event": "connected", "peer": "one"},
        {"event": "connected", "peer": "two", "link": 3},
        {"char": "FF01", "hex": "1c00000000", "peer": "two", "link": 3},
        {"char": "ff01", "hex": "1c00000000", "peer": "one"},
    ]
    assert play("btcombo", "device", lines) == [
        {"char": "ff02", "hex": "410400020102", "peer": "two", "link": 3},
        {"char": "ff02", "hex": "410400020102", "peer": "one"},
    ]


def test_a_scan_that_fails():
    out = play("blufi", "device", [*CONNECT, *values(["24000000"], "ff01")], networks="medium")
    assert octets(out) == ["490400010b"]


def test_refused_input_is_shown():
    out = play("blufi", "device", [*CONNECT, *values(["1c000500"], "ff01")])
    assert out[0] == {"char": "ff02", "hex": "4904000100"}
    assert out[1]["refused"]["code"] == 0


# --- what is refused ---


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ([], "JSON object"),
        ({"phon": {}}, "phon is not known"),
        ({"identity": {"model": "x"}}, "identity.model is not known here; what is: device_name, product_id"),
        ({"identity": {"productId": "x", "product_id": "x"}}, "product_id and productId are the same"),
        ({"identity": 7}, "identity: must be a JSON object"),
        ({"options": {"dialect": "v4"}}, "options.dialect is 'v4', not one of v1, v2, v3"),
        ({"options": {"version": "1"}}, "options.version"),
        ({"options": {"continuations": 1}}, "options.continuations is neither"),
        ({"wifi": {"result": "bad luck"}}, r"wifi\[0\].result is 'bad luck'"),
        ({"wifi": [{"delay": -1}]}, r"wifi\[0\].delay is not 0"),
        ({"wifi": [{"result": "ok", "code": 1}]}, "for failures"),
        ({"bind": {"step": "joining"}}, r"bind\[0\].step"),
        ({"networks": [{"ssid": "x" * 33}]}, r"networks\[0\].ssid has more than 32"),
        ({"networks": [{"ssid": "x", "ssid_hex": "00"}]}, "both given"),
        ({"networks": [{"bssid": "1"}]}, "no address"),
        ({"networks": "bad luck"}, "networks is 'bad luck'"),
        ({"log": 7}, "log is neither"),
        ({"log": [1]}, "log is neither a string nor a list of strings"),
        ({"random": "xyz"}, "random is neither"),
        ({"random": True}, "random is neither"),
        ({"clock": {"start": float("nan")}}, "clock.start is no number"),
        ({"clock": {"step": "1"}}, "clock.step is no number"),
        ({"at_end": "later"}, "at_end is neither"),
        ({"show_secrets": "yes"}, "show_secrets is neither"),
        ({"peer": {"link": -1}}, "peer.link is not 0"),
        ({"unbind": "perhaps"}, "unbind is 'perhaps'"),
    ],
)
def test_bad_configurations(config, text):
    with pytest.raises(ConfigurationError, match=text):
        make_bench("btcombo", "device", config, print)


@pytest.mark.parametrize(
    ("protocol", "phone", "text"),
    [
        ("btcombo", {}, "phone.ssid is missing"),
        ("btcombo", {"ssid": "x" * 33}, "more than 32"),
        ("btcombo", {"ssid": "x", "dialect": "v9"}, "phone.dialect"),
        ("btcombo", {"ssid": "x", "retries": [1]}, "no list of strings"),
        ("btcombo", {"ssid": "x", "bssid": "1"}, "no address"),
        ("btcombo", {"ssid": "x", "plan": {"gapp": 1}}, "phone.plan.gapp is not known"),
        ("btcombo", {"ssid": "\ud800"}, "no text in UTF-8"),
        ("btcombo", {"ssid_hex": "0"}, "two for each octet"),
        ("blufi", {"wanted": ["dance"]}, "phone.wanted has 'dance'"),
        ("blufi", {"wanted": ["join"]}, "phone.ssid is missing"),
        ("blufi", {"wanted": ["token"], "ssid": "x"}, "phone.token is missing"),
        ("thing", {"ble": "dance"}, "phone.ble is 'dance'"),
    ],
)
def test_bad_phones(protocol, phone, text):
    with pytest.raises(ConfigurationError, match=text):
        make_bench(protocol, "phone", {"phone": phone}, print)


def test_spellings_that_mean_the_same():
    lines = [
        {"event": "connect"},
        {"event": "mtu", "mtu": 64},
        {"event": "subscribe", "char": "0000FF02-0000-1000-8000-00805F9B34FB"},
        {"char": "FF01", "hex": "0x1C00000000"},
        {"char": "0000ff01-0000-1000-8000-00805f9b34fb", "hex": "09:00:01:01:41"},
        {"char": "0xFF01", "hex": "0C 00 02 00"},
        {"char": "ff01", "hex": "15000320" + "39" * 32},
    ]
    strange = play(
        "btcombo",
        "device",
        lines,
        Identity={"productId": "P", "deviceName": "D"},
        options={"Dialect": "V1"},
        wifi="OK",
        bind={"result": "TOKEN_NO_REPLY", "code": 5},
        phone={"ssid": "the other side's"},
        atEnd="stop",
    )
    usual = play(
        "btcombo",
        "device",
        [
            {"event": "connected"},
            {"event": "mtu", "size": 64},
            {"event": "subscribed", "char": "ff02"},
            *values(["1c00000000", "090001" + "0141", "0c000200", lines[-1]["hex"]], "ff01"),
        ],
        identity={"product_id": "P", "device_name": "D"},
        options={"dialect": "v1"},
        wifi="ok",
        bind={"result": "token not answered", "code": 5},
        at_end="stop",
    )
    assert strange == usual
    assert b'"status":5' in bytes.fromhex("".join(octets(usual)[2:]))


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_device_whose_link_was_not_announced_answers_all_the_same(protocol):
    first = {"blufi": "1c000000", "btcombo": "1c00000000", "llsync": "e0", "thing": None}[protocol]
    if first is None:
        first = frames(b'{"type":"device.information.get","ts":5}')[0].hex()
    made, out = bench(protocol, "device")
    made.line(json.dumps({"char": PROTOCOLS[protocol].write, "hex": first}))
    assert octets(out)


def test_what_a_bench_says_of_itself_is_passed_over_and_a_wrong_characteristic_is_told():
    made, out = bench("btcombo", "device")
    for line in ({"offer": {}}, {"tell": {}, "peer": "x"}, {"seen": "x"}, {"drop": {}}, {"error": "x"}):
        made.line(json.dumps(line))
    assert out == []
    made.line(json.dumps({"char": "ff02", "hex": "1c00000000"}))
    assert out == [{"error": "ff02 is not what this side is given; that is ff01"}]


def test_one_configuration_serves_both_sides():
    config = {
        "identity": {"product_id": "P", "device_name": "D"},
        "networks": [{"ssid": "x", "rssi": -40, "security": True}],
        "log": "a line",
        "wifi": "ok",
        "clock": 1721192794,
        "phone": {"ssid": "x", "password": PASSWORD, "token": TOKEN},
    }
    for side in ("device", "phone"):
        make_bench("btcombo", side, config, print)


def test_a_blufi_device_without_an_identity_sends_no_bind_result():
    token = b'{"cmdType":3,"token":"T"}'
    frames = ["09000001" + "41", "0c000100", (bytes((0x4D, 0, 2, len(token))) + token).hex()]
    said = [
        octets(play("blufi", "device", values(frames, "ff01"), **config))
        for config in ({}, {"identity": {"product_id": "P", "device_name": "D"}})
    ]
    assert [text[:2] for text in said[0]] == ["3d"]
    assert {text[:2] for text in said[1]} == {"3d", "4d"}


def test_bad_keys():
    for keys, text in [({"public": "00"}, "wants key"), ({"key": "00"}, "has not 16 octets")]:
        with pytest.raises(ConfigurationError, match=text):
            make_bench("blufi", "device", {"keys": keys}, print)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{", "no JSON"),
        ("[]", "JSON object"),
        ("{}", "char and hex, or event"),
        ('{"char": "ff01"}', "hex is missing"),
        ('{"char": "ff01", "hex": "0"}', "hex is no string of hexadecimal"),
        ('{"char": "ff01", "hex": "00", "x": 1}', "x is not known"),
        ('{"event": "lost", "hex": "00"}', "hex is not known"),
        ('{"event": "gone"}', "event is 'gone'"),
        ('{"event": "mtu"}', "size is missing"),
        ('{"event": "mtu", "size": 5000}', "size is not 20 to 517"),
        ('{"event": "time"}', "wants t or after"),
        ('{"event": "lost", "t": 1, "at": 1}', "one of them"),
        ("[" * 5000, "no JSON"),
        ("x" * 70000, "at most"),
    ],
)
def test_bad_lines(line, text):
    made, _ = bench("btcombo", "device")
    with pytest.raises(ConfigurationError, match=text):
        made.line(line)


def test_random_octets_that_are_used_up():
    found = recording("blufi_v2_session_v1.4_secure_mtu247")
    lines = [*CONNECT, {"event": "mtu", "size": 247}, *values(found.of("phone->dev")[:6], "ff01")]
    with pytest.raises(ConfigurationError, match="48 octets are wanted and 2 are left"):
        play("blufi", "device", lines, random="0102", options={"version": "1.4"})


# --- the program ---


def run(monkeypatch, tmp_path, text: str, *arguments: str, config: object = None) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    if config is not None:
        file = tmp_path / "config.json"
        file.write_text(config if isinstance(config, str) else json.dumps(config))
        arguments = (*arguments, "--config", str(file))
    return main(arguments)


def test_the_program(monkeypatch, tmp_path, capsys):
    text = '{"event": "connected"}\n{"char": "ff01", "hex": "1c00000000"}\n'
    assert run(monkeypatch, tmp_path, text, "btcombo", "--side", "device", config={}) == 0
    assert capsys.readouterr().out == '{"char": "ff02", "hex": "410400020102"}\n'


@pytest.mark.parametrize("name", ["btcombo", "BT-Combo", "bt_combo"])
def test_the_protocol_s_names_and_files_of_windows(monkeypatch, tmp_path, capsys, name):
    text = '\ufeff{"char": "ff01", "hex": "1c00000000"}\r\n'
    config = '\ufeff{"options": {"dialect": "v1"}}'
    assert run(monkeypatch, tmp_path, text, name, "--side", "device", config=config) == 0
    assert capsys.readouterr().out == '{"char": "ff02", "hex": "1d04000100"}\n'


@pytest.mark.parametrize(("config", "text"), [("{", "no JSON"), ({"x": 1}, "x is not known here")])
def test_a_bad_configuration_ends_it(monkeypatch, tmp_path, capsys, config, text):
    assert run(monkeypatch, tmp_path, "", "btcombo", "--side", "device", config=config) == 2
    assert text in capsys.readouterr().err


def test_a_missing_file_and_a_bad_line_end_it(monkeypatch, tmp_path, capsys):
    arguments = ("btcombo", "--side", "device")
    assert run(monkeypatch, tmp_path, "", *arguments, "--config", str(tmp_path / "none")) == 2
    assert "No such file" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path, "\n\nnonsense\n", *arguments) == 2
    assert "line 3: this is no JSON" in capsys.readouterr().err


def test_answers_come_while_the_input_is_open(tmp_path):
    command = [sys.executable, "-m", "qiot.testbed.ble", "btcombo", "--side", "device"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"char": "ff01", "hex": "1c00000000"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"char": "ff02", "hex": "410400020102"}
        process.stdin.close()
        assert process.wait() == 0
