"""Whole flows with the log at its loudest, and then every place where a secret could have ended up."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

import qiot
from qiot.device_info import load_device_info
from qiot.errors import QiotError
from qiot.log import configure, silence
from qiot.model import Outcome, Step
from qiot.testbed.phone import LogPhone, SoftApPhone
from tests.end_to_end.support import (
    CERT_DEVICE,
    HOME,
    NEW_DEVICE,
    PATIENCE,
    at,
    end_of,
    new_token,
    place,
    quick_binder,
    until,
)

WIFI_PASSWORD = 'Wq7xLm"Zk9pJw\\Bä7 Vb3nH%&=Tr8yD'
"""Its parts are unique, so that a mask that ends at a quote, a blank or a bracket is found out too."""
NUMBER = "4815162342108"
WRONG_PASSWORD = "Xc5vBn Mq2wEr'Ty6uI"
_PART = re.compile(r"[A-Za-z0-9]{5,}")
_TOKEN = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def forms(secret: str) -> Iterator[str]:
    """The secret as it may be written: plain, its parts, JSON, percent, base64, hexadecimal, repr."""
    octets = secret.encode()
    yield secret
    yield from _PART.findall(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(json.dumps(secret))[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield quote(secret)
    yield repr(secret)[1:-1]
    yield repr(octets)[2:-1]
    yield octets.hex()
    yield base64.b64encode(octets).decode().rstrip("=")
    yield base64.urlsafe_b64encode(octets).decode().rstrip("=")


def lines_of(key: str) -> list[str]:
    """The lines of a private key that are secret."""
    return [line for line in key.splitlines() if line and "-----" not in line]


def leaks(secrets: Mapping[str, str], places: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Which secret stands where, with the text around it."""
    found = []
    for where, written in places.items():
        text = written.replace("\0", "").replace("\\x00", "")
        for name, secret in secrets.items():
            for form in set(forms(secret)):
                at_ = text.find(form)
                if at_ >= 0:
                    found.append((name, where, text[max(0, at_ - 60) : at_ + len(form) + 20]))
                    break
    return found


def files_of(folder: Path) -> dict[str, str]:
    """Every file below the folder as text, but for those made for secrets: they are the owner's only.

    A device_info.json that was never saved still has the mode that its author gave it.
    """
    texts = {}
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        if path.name in {"CERT1_private.key", "network", "ca.key", "server.key"}:
            assert path.stat().st_mode & 0o777 == 0o600, path
        elif path.name != "device_info.json":
            texts[str(path)] = path.read_bytes().decode(errors="backslashreplace")
    return texts


def test_the_search_finds_every_form():
    secret = {"password": WIFI_PASSWORD}
    for form in forms(WIFI_PASSWORD):
        assert leaks(secret, {"log": f"x{form}y"})
    assert leaks(secret, {"log": WIFI_PASSWORD.encode("utf-16-le").decode("latin-1")})
    assert not leaks(secret, {"log": 'INF|{"password":"***"}'})


# --- the sample, as a process -----------------------------------------------------------------------------

SAMPLE = ("-m", "qiot.samples.wifi_config_sample", "--udp", "127.0.0.1:0", "--log-level", "debug")


def sample(folder: Path, device: Mapping[str, object], *arguments: str, sent: str = WIFI_PASSWORD):
    folder.mkdir()
    (folder / "device_info.json").write_text(json.dumps(device))
    home = WIFI_PASSWORD.replace(",", "\\,")
    return subprocess.Popen(
        [
            *(sys.executable, *SAMPLE, "-c", str(folder / "device_info.json"), *arguments),
            *("--hal", f"mock,ap_sta=yes,state={folder / 'state'},ssid={HOME},password={home}"),
            *("--ssid", HOME, "--password", sent),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(qiot.__file__).parents[1])},
    )


def test_the_sample_prints_and_writes_no_secret(tmp_path):
    runs = {
        "KEY": (0, sample(tmp_path / "key", NEW_DEVICE)),
        "KEY as JSON": (0, sample(tmp_path / "json", NEW_DEVICE, "--log", "json")),
        "KEY 3.0": (
            0,
            sample(tmp_path / "v3", NEW_DEVICE, "--proto-version", "3.0", "--broadcast", "127.255.255.255"),
        ),
        "CERT": (0, sample(tmp_path / "cert", CERT_DEVICE, "--log", "json")),
        "wrong": (1, sample(tmp_path / "wrong", NEW_DEVICE, sent=WRONG_PASSWORD)),
    }
    secrets = {
        "password": WIFI_PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "product secret": str(NEW_DEVICE["productSecret"]),
    }
    places = {}
    ended = {name: process.communicate(timeout=3 * PATIENCE) for name, (_, process) in runs.items()}
    for name, (expected, process) in runs.items():
        out, err = ended[name]
        assert process.returncode == expected, err + out
        places |= {f"{name}: stdout": out, f"{name}: stderr": err}
        assert "cmdType" in out, "the log is at its loudest"
        assert not _TOKEN.findall(out + err), "a token"
    for folder in ("key", "json", "v3"):
        path = tmp_path / folder / "device_info.json"
        secret = load_device_info(path).device_secret
        assert secret is not None
        assert path.stat().st_mode & 0o777 == 0o600
        secrets[f"device secret {folder}"] = secret.text()
    key = load_device_info(tmp_path / "cert" / "device_info.json").key_file
    assert key is not None
    secrets |= {f"private key {n}": line for n, line in enumerate(lines_of(key.read_text()))}
    places |= files_of(tmp_path)
    assert leaks(secrets, places) == []


# --- in this process --------------------------------------------------------------------------------------


@pytest.fixture(params=["c-sdk", "json"])
def loud(request) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure(request.param, "debug", stream)
    yield stream
    silence()


def mangled(password: str, token: str) -> list[bytes]:
    """Datagrams that are no good and hold the password all the same."""
    text = json.dumps({"cmdType": 1, "ssid": HOME, "password": password, "token": token})
    quoted = json.dumps(password)
    return [
        text[:-1].encode(),
        text[:-3].encode(),
        text.replace('"cmdType": 1', '"cmdType": 77').encode(),
        text.replace("cmdType", "comand").encode(),
        text.replace('"ssid": "Home", ', "").encode(),
        text.replace('"token"', '"tokn"').encode(),
        (text + "}}").encode(),
        ("[" + text + "]").encode(),
        json.dumps(text).encode(),
        text.replace('"password"', '"PassWord"').replace("token", "Token").encode(),
        text.replace(": ", " : ").replace('"token"', '"token" \n').encode()[:-1],
        json.dumps({"cmdType": 1, "ssid": HOME, "password": int(NUMBER), "token": int(NUMBER)}).encode(),
        json.dumps({"cmdType": 1, "ssid": HOME, "password": [password], "token": {"value": token}}).encode(),
        json.dumps({"cmdType": 1, "ssid": HOME, "password": {"is": password}, "token": token}).encode(),
        str({"cmdType": 1, "ssid": HOME, "password": password, "token": token}).encode(),
        text.encode("utf-16"),
        text.encode("utf-16-be"),
        text.encode() + b"\xff\xfe",
        f"ssid={HOME}&password={quote(password)}&token={token}".encode(),
        f"SSID:{HOME}|PSW:{password.replace(' ', '')}|TOKEN:{token}".encode(),
        f"SSID:{HOME}|PSW:{password}|TOKEN:{token}".encode(),
        f'{{"cmdType":1,"ssid":"{HOME}","password" {quoted},"token" "{token}"}}'.encode(),
        f'{{"cmdType":1,"ssid":"{HOME}",password:{quoted},token:"{token}"}}'.encode(),
        f"{{cmdType:1,ssid:{HOME},password: {password},token: {token}}}".encode(),
        f"cmdType 1 ssid {HOME} password {password} token {token}".encode(),
        f"<wifi><password>{password}</password><token>{token}</token></wifi>".encode(),
        f"{HOME}\0{password}\0{token}\0".encode(),
        base64.b64encode(text.encode()),
        password.encode(),
        token.encode(),
    ]


async def test_no_flow_leaves_a_secret_behind(cloud, device, phone, loud, identity_file, tmp_path):
    shown: list[str] = []
    heard: list[bytes] = []
    secrets = {
        "password": WIFI_PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "product secret": str(NEW_DEVICE["productSecret"]),
        "numeric password": NUMBER,
    }
    home = f"ssid={HOME},password={WIFI_PASSWORD}"

    def token_of(here) -> str:
        token = new_token(here)
        secrets[f"token {len(secrets)}"] = token
        return token

    def keep(wifi) -> None:
        shown.extend([repr(wifi.history), repr(wifi.result), repr(wifi.device_info), repr(wifi._settings)])
        shown.extend(str(event.failure) for event in wifi.history)
        shown.append(repr(vars(wifi)))

    # A KEY device: registration, malformed datagrams, a wrong password, a refused token, then bound.
    here = await cloud([NEW_DEVICE], mode={"bind_reply": {"do": "code", "code": 7, "times": 1}})
    path = identity_file(NEW_DEVICE, "key")
    binder = quick_binder(here, load_device_info(path))
    wifi = device(at(here), f"mock,ap_sta=yes,state={tmp_path / 'state'},{home}", path, binder)
    await wifi.start()
    speaker = await phone(wifi)
    for datagram in mangled(WIFI_PASSWORD, token_of(here)):
        speaker.send(datagram)
    speaker.join(token_of(here), password=WRONG_PASSWORD)
    await until(wifi, Step.JOINING, Outcome.FAILED)
    speaker.join(token_of(here), password=WIFI_PASSWORD)
    await until(wifi, Step.BINDING, Outcome.FAILED)
    speaker.send({"cmdType": 3})
    speaker.join(token_of(here), password=WIFI_PASSWORD)
    assert (await end_of(wifi)).step is Step.BOUND
    async with wifi.thing() as thing:
        await thing.report({"power_switch": 1, "name": "lamp"})
    keep(wifi)
    await wifi.aclose()
    device_secret = load_device_info(path).device_secret
    assert device_secret is not None
    secrets["device secret"] = device_secret.text()

    # The cloud refuses the device, which then serves its log.
    here.set_mode({"connack": {"do": "code", "code": 5}})
    failing = device(at(here), f"mock,ap_sta=yes,{home}", path, retry_window=0.05)
    await failing.start()
    speaker.send(b"", to=place(failing))
    second = await phone(failing)
    second.join(token_of(here), password=WIFI_PASSWORD)
    assert not (await end_of(failing)).successful
    service = await failing.send_log(random_password=True, port=0)
    shown.append(
        (await LogPhone(*service.local, on_event=lambda each: shown.append(str(each)), quiet=0.05).run()).text
    )
    keep(failing)
    await failing.aclose()

    # Registration fails in every way that an answer can be wrong.
    for fault in ("malformed", {"do": "malformed", "kind": "padding"}, {"do": "code", "code": 1021}):
        refusing = await cloud([NEW_DEVICE], mode={"dynreg": fault})
        unregistered = identity_file(NEW_DEVICE, f"unregistered-{len(secrets)}")
        wifi = device(at(refusing), f"mock,ap_sta=yes,{home}", unregistered, retry_window=0.05, tries=1)
        await wifi.start()
        (await phone(wifi)).join(token_of(refusing), password=WIFI_PASSWORD)
        assert not (await end_of(wifi)).successful
        keep(wifi)

    # A CERT device, with the mini program's phone.
    certified = await cloud([CERT_DEVICE], tls_dir=tmp_path / "tls")
    path = identity_file(CERT_DEVICE, "cert")
    wifi = device(at(certified, secure=True), f"mock,{home}", path)
    await wifi.start()
    mini_program = SoftApPhone(
        *place(wifi),
        ssid=HOME,
        password=WIFI_PASSWORD,
        app_url=f"{certified.http_url}/app",
        poll_interval=0.05,
        on_event=lambda each: shown.append(str(each)),
    )
    result = await mini_program.run()
    assert result.bound, result.error
    shown.append(repr(mini_program))
    keep(wifi)
    key = load_device_info(path).key_file
    assert key is not None
    secrets |= {f"private key {n}": line for n, line in enumerate(lines_of(key.read_text()))}

    for each in (speaker, second):
        heard.extend(each.everything)
    places = {
        "log": loud.getvalue(),
        "shown": "\n".join(shown),
        "phone": b"\n".join(heard).decode(errors="backslashreplace"),
    }
    for each in (here, certified):
        places[f"journal {id(each)}"] = "\n".join(map(str, each.records))
    assert len(loud.getvalue()) > 10_000
    places |= files_of(tmp_path)
    assert leaks(secrets, places) == []


async def test_what_is_raised_shows_no_secret(device, loud, identity_file, tmp_path):
    secrets = {
        "password": WIFI_PASSWORD,
        "secret": str(NEW_DEVICE["productSecret"]),
        "device": "Zm9vYmFyYmF6cXV4",
    }
    bad = [
        lambda: device(hal=f"mock,ssid=,password={WIFI_PASSWORD}"),
        lambda: device(hal=f"mock,password={WIFI_PASSWORD}"),
        lambda: device(hal=f"mock,ssid=Home,password={WIFI_PASSWORD * 3}"),
        lambda: device(hal=f"mock,ssid=Home,passwort={WIFI_PASSWORD}"),
        lambda: device(hal=f"mock,ssid=Home,password={WIFI_PASSWORD},password={WIFI_PASSWORD}"),
        lambda: device(info=identity_file(NEW_DEVICE | {"productSecret": [secrets["secret"]]}, "list")),
        lambda: device(info=identity_file(NEW_DEVICE | {"productSecret": secrets["secret"] * 3}, "long")),
        lambda: device(
            info=identity_file(
                NEW_DEVICE | {"key_deviceinfo": {"deviceSecret": secrets["device"] * 9}}, "device"
            )
        ),
        lambda: device(info=_broken(tmp_path, secrets["secret"])),
        lambda: device().set_access_point("", WIFI_PASSWORD),
        lambda: device().set_access_point("ap", WIFI_PASSWORD * 3),
    ]
    shown = []
    for each in bad:
        with pytest.raises(QiotError) as caught:
            each()
        error = caught.value
        shown.append(f"{error} {error!r} {error.hint} {error.failure(Step.IDLE)}")
        # As a program prints it that does not catch it: the source lines are this test's own.
        shown.append("".join(traceback.format_exception_only(error)))
        chained = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        shown.append(repr(chained))
    places = {"shown": "\n".join(shown), "log": loud.getvalue()}
    assert leaks(secrets, places) == []


def _broken(folder: Path, secret: str) -> Path:
    path = folder / "broken.json"
    path.write_text(f'{{"productId":"P","productSecret":"{secret}",}}')
    return path
