"""device_info.json: every form of it, every fault in it, and what saving leaves alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.device_info import (
    AuthMode,
    Cloud,
    DeviceInfo,
    Endpoints,
    IssuedCertificate,
    SubDevice,
    load_device_info,
    save_device_info,
)
from qiot.errors import ConfigurationError, StorageError
from qiot.model import Secret

KEY = {
    "auth_mode": "KEY",
    "productId": "L4WG9V9M2M",
    "productSecret": "XoezQjzzMedF4lAr2CqCkVYK",
    "deviceName": "TEST2",
    "region": "china",
    "key_deviceinfo": {"deviceSecret": "MLvMHde65nKPk0Lx+ZThaA=="},
}
CERT = {
    **{name: value for name, value in KEY.items() if name != "key_deviceinfo"},
    "auth_mode": "CERT",
    "cert_deviceinfo": {"devCertFile": "dev.crt", "devPrivateKeyFile": "dev.key"},
}
TEMPLATE = Path(__file__).parent.parent / "device_info.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "device_info.json"


def put(file: Path, base: dict[str, Any], **changes: Any) -> Path:
    """Write a document; None takes a field out."""
    document = {name: value for name, value in {**base, **changes}.items() if value is not None}
    file.write_text(json.dumps(document))
    return file


def refused(path: Path, *words: str, **more: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        load_device_info(path, **more)
    error = raised.value
    assert str(path) in str(error)
    assert error.hint
    for word in words:
        assert word in f"{error} {error.hint}"
    return error


# --- loading ------------------------------------------------------------------------------------------------


def test_key_mode(file):
    info = load_device_info(put(file, KEY))
    assert info == DeviceInfo(
        product_id="L4WG9V9M2M",
        device_name="TEST2",
        auth_mode=AuthMode.KEY,
        region="china",
        product_secret=Secret("XoezQjzzMedF4lAr2CqCkVYK"),
        device_secret=Secret("MLvMHde65nKPk0Lx+ZThaA=="),
    )
    assert not info.needs_registration
    assert "XoezQ" not in repr(info)
    assert "MLvMH" not in repr(info)


@pytest.mark.parametrize("folder", [".", "certs"])
def test_cert_mode_finds_its_files_beside_and_in_certs(file, folder):
    (file.parent / "certs").mkdir()
    for name in ("dev.crt", "dev.key"):
        (file.parent / folder / name).touch()
    info = load_device_info(put(file, CERT))
    assert info.auth_mode is AuthMode.CERT
    assert info.cert_file == file.parent / folder / "dev.crt"
    assert info.key_file == file.parent / folder / "dev.key"
    assert not info.needs_registration


def test_cert_mode_takes_absolute_names(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    names = {"devCertFile": str(folder / "a"), "devPrivateKeyFile": str(folder / "b")}
    for name in names.values():
        Path(name).touch()
    info = load_device_info(put(file, CERT, cert_deviceinfo=names))
    assert info.cert_file == folder / "a"


def test_a_missing_certificate_says_where_was_looked(file):
    refused(
        put(file, CERT), "devCertFile", str(file.parent / "dev.crt"), str(file.parent / "certs" / "dev.crt")
    )


def test_one_certificate_field_without_the_other(file):
    (file.parent / "dev.crt").touch()
    names = {"devCertFile": "dev.crt", "devPrivateKeyFile": "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME"}
    refused(put(file, CERT, cert_deviceinfo=names), "devPrivateKeyFile")


def test_gateway(file):
    entries = [{"sub_productId": "SUB", "sub_devName": f"sub{number}"} for number in range(3)]
    info = load_device_info(put(file, KEY, subDev={"subdev_num": 2, "subdev_list": entries}))
    assert info.sub_devices == (SubDevice("SUB", "sub0"), SubDevice("SUB", "sub1"))


def test_endpoints(file):
    (file.parent / "ca.crt").touch()
    given = {"dynreg": "http://h:1", "mqtt": "mqtt://h:2", "ca_file": "ca.crt"}
    info = load_device_info(put(file, KEY, endpoints=given))
    assert info.endpoints == Endpoints("http://h:1", "mqtt://h:2", file.parent / "ca.crt")
    refused(put(file, KEY, endpoints={"ca_file": "gone.crt"}), "endpoints.ca_file", "gone.crt")


@pytest.mark.parametrize("secret", ["YOUR_IOT_PSK", "", None])
def test_without_a_device_secret_the_device_registers(file, secret):
    info = load_device_info(put(file, KEY, key_deviceinfo={"deviceSecret": secret}))
    assert info.needs_registration
    assert info.device_secret is None


def test_without_a_certificate_the_device_registers(file):
    names = {
        "devCertFile": "YOUR_DEVICE_CERT_FILE_NAME",
        "devPrivateKeyFile": "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME",
    }
    info = load_device_info(put(file, CERT, cert_deviceinfo=names))
    assert info.needs_registration


def test_the_mode_is_key_where_nothing_is_said(file):
    assert load_device_info(put(file, KEY, auth_mode=None, region=None)).auth_mode is AuthMode.KEY


def test_the_template_lists_everything_to_fill_in():
    error = refused(TEMPLATE, "productId", "deviceName", "productSecret")
    assert "deviceSecret" not in str(error)
    error = refused(
        TEMPLATE, "productId", "deviceName", "key_deviceinfo.deviceSecret", dynamic_registration=False
    )
    assert "productSecret" not in str(error)


def test_a_product_secret_is_asked_for_only_where_it_is_needed(file):
    assert load_device_info(put(file, KEY, productSecret="YOUR_PRODUCT_SECRET")).product_secret is None
    unregistered = {**KEY, "key_deviceinfo": {"deviceSecret": "YOUR_IOT_PSK"}}
    refused(put(file, unregistered, productSecret="YOUR_PRODUCT_SECRET"), "productSecret")
    refused(put(file, unregistered, productSecret="fifteen-charact"), "productSecret", "16")


def test_without_dynamic_registration_the_secret_has_to_be_there(file):
    unregistered = put(file, KEY, key_deviceinfo={"deviceSecret": "YOUR_IOT_PSK"})
    refused(unregistered, "key_deviceinfo.deviceSecret", dynamic_registration=False)
    refused(
        put(file, CERT, cert_deviceinfo={}),
        "cert_deviceinfo.devCertFile",
        "cert_deviceinfo.devPrivateKeyFile",
        dynamic_registration=False,
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"auth_mode": "PSK"}, "auth_mode"),
        ({"auth_mode": 1}, "auth_mode"),
        ({"auth_mode": []}, "auth_mode"),
        ({"productId": "x" * 11}, "productId"),
        ({"productId": 7}, "productId"),
        ({"productId": "a.b"}, "productId"),
        ({"productId": None}, "productId"),
        ({"deviceName": "x" * 49}, "deviceName"),
        ({"deviceName": "a/b"}, "deviceName"),
        ({"deviceName": "a b"}, "deviceName"),
        ({"deviceName": "a\nb"}, "deviceName"),
        ({"deviceName": "\ud800"}, "deviceName"),
        ({"deviceName": ""}, "deviceName"),
        ({"productSecret": "x" * 33}, "productSecret"),
        ({"region": "x" * 65}, "region"),
        ({"region": 1}, "region"),
        ({"key_deviceinfo": "x"}, "key_deviceinfo"),
        ({"key_deviceinfo": {"deviceSecret": 1}}, "key_deviceinfo.deviceSecret"),
        ({"key_deviceinfo": {"deviceSecret": "x" * 89}}, "key_deviceinfo.deviceSecret"),
        ({"endpoints": []}, "endpoints"),
        ({"endpoints": {"mqtt": 1}}, "endpoints.mqtt"),
        ({"subDev": []}, "subDev"),
        ({"subDev": {"subdev_num": "2"}}, "subDev.subdev_num"),
        ({"subDev": {"subdev_num": True}}, "subDev.subdev_num"),
        ({"subDev": {"subdev_num": 51}}, "subDev.subdev_num"),
        ({"subDev": {"subdev_num": 1}}, "subDev.subdev_list"),
        ({"subDev": {"subdev_num": 1, "subdev_list": {}}}, "subDev.subdev_list"),
        ({"subDev": {"subdev_num": 1, "subdev_list": [1]}}, "subDev.subdev_list[0]"),
        ({"subDev": {"subdev_num": 1, "subdev_list": [{}]}}, "subDev.subdev_list[0]"),
        (
            {"subDev": {"subdev_num": 1, "subdev_list": [{"sub_productId": 1, "sub_devName": "x"}]}},
            "subDev.subdev_list[0].sub_productId",
        ),
    ],
)
def test_a_wrong_field_is_named(file, changes, field):
    refused(put(file, KEY, **changes), field)


@pytest.mark.parametrize("secret", ["x" * 89, 1716151413])
def test_a_wrong_secret_is_not_shown(file, secret):
    error = refused(put(file, KEY, key_deviceinfo={"deviceSecret": secret}))
    assert str(secret) not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "JSON"),
        (b"{", "line 1, column 2"),
        (b"[]", "object"),
        (b"null", "object"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "byte order mark"),
        (b'{"region":"\xb9\xfa"}', "UTF-8"),
        (b"[" * 100_000, "JSON"),
        (b'{"a":' + b"1" * 5000 + b"}", "JSON"),
        (b"{'auth_mode':'KEY'}", "JSON"),
    ],
)
def test_files_that_are_none(file, content, word):
    file.write_bytes(content)
    refused(file, word)


def test_no_file_a_folder_and_what_is_no_file_at_all(file):
    refused(file, "no such file", "-c")
    refused(file.parent, "regular file")
    os.mkfifo(file)
    refused(file, "regular file")


NAMES = ["auth_mode", "productId", "deviceName", "deviceSecret", "key_deviceinfo", "endpoints", "ca_file"]
NAMES += ["subDev", "subdev_num", "subdev_list", "sub_productId", "sub_devName"]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)


@given(ANY_JSON)
def test_whatever_json_it_is_it_loads_or_is_refused(tmp_path_factory, document):
    file = tmp_path_factory.mktemp("any") / "device_info.json"
    file.write_text(json.dumps(document))
    try:
        load_device_info(file)
    except ConfigurationError as error:
        assert error.hint  # noqa: PT017 - either outcome is right


# --- saving -------------------------------------------------------------------------------------------------


def test_saving_changes_only_what_has_changed(file):
    document = {
        "comment": {"of": ["mine"]},
        "deviceName": "TEST2",
        "key_deviceinfo": {"deviceSecret": "YOUR_IOT_PSK", "more": 1},
        "productSecret": "XoezQjzzMedF4lAr2CqCkVYK",
        "cert_deviceinfo": {"devCertFile": "kept.crt"},
        "productId": "L4WG9V9M2M",
        "subDev": {"subdev_num": 0, "subdev_list": [{"sub_productId": "", "sub_devName": ""}]},
        "endpoints": {"mqtt": "mqtt://host"},
        "名": "字",
    }
    file.write_text(json.dumps(document, indent="\t"))
    info = attrs.evolve(load_device_info(file), device_secret=Secret("bmV3"))
    save_device_info(file, info)
    expected = json.loads(json.dumps(document))
    expected["key_deviceinfo"]["deviceSecret"] = "bmV3"
    assert file.read_text() == json.dumps(expected, indent="\t", ensure_ascii=False) + "\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert load_device_info(file) == info


def test_saving_a_new_file_and_loading_it_again(file):
    info = DeviceInfo(
        product_id="P",
        device_name="d",
        product_secret=Secret("s" * 16),
        region="us-east",
        device_secret=Secret("AAAA"),
        sub_devices=(SubDevice("S", "s1"),),
        endpoints=Endpoints(dynreg="http://h", mqtt="mqtt://h"),
    )
    assert save_device_info(file, info) == info
    assert load_device_info(file) == info
    names = [
        "auth_mode",
        "productId",
        "deviceName",
        "region",
        "productSecret",
        "key_deviceinfo",
        "subDev",
        "endpoints",
    ]
    assert list(json.loads(file.read_text())) == names


def test_saving_an_identity_that_is_not_registered_yet(file):
    info = DeviceInfo(product_id="P", device_name="d", product_secret=Secret("s" * 16))
    save_device_info(file, info)
    assert json.loads(file.read_text())["key_deviceinfo"] == {"deviceSecret": "YOUR_IOT_PSK"}
    assert load_device_info(file) == info
    save_device_info(file, attrs.evolve(info, auth_mode=AuthMode.CERT))
    assert load_device_info(file).auth_mode is AuthMode.CERT


def test_saving_an_issued_certificate(file):
    info = DeviceInfo(product_id="P", device_name="d", auth_mode=AuthMode.CERT)
    info = attrs.evolve(info, issued=IssuedCertificate("certificate", Secret("private key")))
    assert not info.needs_registration
    saved = save_device_info(file, info)
    assert saved == load_device_info(file)
    assert saved.issued is None
    assert saved.cert_file == file.parent / "certs" / "d_cert.crt"
    assert saved.key_file == file.parent / "certs" / "d_private.key"
    assert saved.cert_file.read_text() == "certificate"
    assert saved.key_file.read_text() == "private key"
    assert saved.key_file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["cert_deviceinfo"] == {
        "devCertFile": "d_cert.crt",
        "devPrivateKeyFile": "d_private.key",
    }


def test_a_new_certificate_replaces_one_whose_file_is_gone(file):
    put(file, CERT, comment="stays")
    info = DeviceInfo(product_id="L4WG9V9M2M", device_name="TEST2", auth_mode=AuthMode.CERT)
    save_device_info(file, attrs.evolve(info, issued=IssuedCertificate("c", Secret("k"))))
    assert load_device_info(file).cert_file == file.parent / "certs" / "TEST2_cert.crt"
    assert json.loads(file.read_text())["comment"] == "stays"


def test_certificates_elsewhere_keep_their_whole_name(file, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    beside = file.parent / "a"
    for path in (beside, other / "a", other / "b"):
        path.touch()
    info = DeviceInfo(
        product_id="P", device_name="d", auth_mode=AuthMode.CERT, cert_file=other / "a", key_file=beside
    )
    save_device_info(file, info)
    assert load_device_info(file) == info
    assert json.loads(file.read_text())["cert_deviceinfo"]["devPrivateKeyFile"] == "a"


def test_a_certificate_in_certs_is_not_taken_for_its_namesake_beside(file):
    (file.parent / "certs").mkdir()
    for path in (file.parent / "a", file.parent / "certs" / "a"):
        path.touch()
    inside = file.parent / "certs" / "a"
    info = DeviceInfo(
        product_id="P", device_name="d", auth_mode=AuthMode.CERT, cert_file=inside, key_file=inside
    )
    save_device_info(file, info)
    assert load_device_info(file) == info


def test_a_link_stays_a_link(file, tmp_path_factory):
    target = put(tmp_path_factory.mktemp("real") / "info.json", KEY)
    file.symlink_to(target)
    save_device_info(file, attrs.evolve(load_device_info(file), device_secret=Secret("bmV3")))
    assert file.is_symlink()
    assert load_device_info(target).device_secret == Secret("bmV3")


def test_a_file_that_is_no_json_is_not_overwritten(file):
    file.write_text("mine")
    with pytest.raises(ConfigurationError):
        save_device_info(file, DeviceInfo(product_id="P", device_name="d"))
    assert file.read_text() == "mine"


def test_what_cannot_be_written_leaves_the_old_file(file, monkeypatch):
    put(file, KEY)
    before = file.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError) as raised:
        save_device_info(file, attrs.evolve(load_device_info(file), device_secret=Secret("bmV3")))
    assert raised.value.code == 28
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


# --- devices of rlink -----------------------------------------------------------------------------------

RLINK = {
    "cloud": "rlink",
    "productId": "fFMes8kzaLRHMy",
    "productSecret": "short",
    "deviceName": "rn01b55A74fa0c16",
    "key_deviceinfo": {"deviceSecret": "bd2625eb1fa0499ea60aadd09ae0a184"},
}


def _rlink(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "device_info.json"
    path.write_text(json.dumps(RLINK | changes, indent=2))
    return path


def test_an_rlink_device(tmp_path):
    info = load_device_info(_rlink(tmp_path))
    assert (info.cloud, info.product_id, info.device_name) == ("rlink", "fFMes8kzaLRHMy", "rn01b55A74fa0c16")
    assert info.device_secret == Secret("bd2625eb1fa0499ea60aadd09ae0a184")
    assert not info.needs_registration


def test_an_rlink_device_that_registers_is_saved_with_its_cloud(tmp_path):
    path = _rlink(tmp_path, deviceName="unit-7", key_deviceinfo={"deviceSecret": "YOUR_IOT_PSK"}, mine=[1])
    info = load_device_info(path)
    assert info.needs_registration
    save_device_info(path, attrs.evolve(info, device_name="rn01new", device_secret=Secret("s" * 32)))
    saved = json.loads(path.read_text())
    assert saved == RLINK | {
        "deviceName": "rn01new",
        "key_deviceinfo": {"deviceSecret": "s" * 32},
        "mine": [1],
    }
    assert load_device_info(path).device_name == "rn01new"


def test_a_new_file_of_an_rlink_device_names_its_cloud_and_tencents_does_not(tmp_path):
    info = load_device_info(_rlink(tmp_path))
    save_device_info(tmp_path / "copy.json", info)
    assert load_device_info(tmp_path / "copy.json") == info
    save_device_info(
        tmp_path / "tencent.json", attrs.evolve(info, cloud=Cloud.TENCENT, product_id="L4WG9V9M2M")
    )
    assert "cloud" not in json.loads((tmp_path / "tencent.json").read_text())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cloud": "mars"}, "cloud"),
        ({"cloud": 5}, "cloud"),
        ({"cloud": None}, "cloud"),
        ({"cloud": ["rlink"]}, "cloud"),
        ({"productId": "p" * 17}, "productId"),
        ({"productId": "a/b"}, "productId"),
        ({"deviceName": "a/b"}, "deviceName"),
        ({"auth_mode": "CERT"}, "auth_mode"),
        ({"key_deviceinfo": {"deviceSecret": "with space"}}, "deviceSecret"),
        ({"key_deviceinfo": {"deviceSecret": "s" * 65}}, "deviceSecret"),
        ({"key_deviceinfo": {"deviceSecret": "ü" * 16}}, "deviceSecret"),
        ({"key_deviceinfo": {}, "productSecret": ""}, "productSecret"),
        ({"deviceName": "YOUR_DEV_NAME"}, "deviceName"),
    ],
)
def test_an_rlink_device_that_cannot_be_used(tmp_path, changes, says):
    with pytest.raises(ConfigurationError, match=says) as raised:
        load_device_info(_rlink(tmp_path, **changes))
    assert "bd2625eb1fa0499ea60aadd09ae0a184" not in str(raised.value)
