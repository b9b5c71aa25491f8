"""The bench's protocols: which codec, and what of the configuration goes into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar, cast, get_args

import attrs

from qiot.errors import ConfigurationError
from qiot.model import SSID_MAX, Credentials, Secret
from qiot.protocols.base import Codec
from qiot.protocols.ble.blufi import BluFiDevice
from qiot.protocols.ble.blufi_phone import BluFiPhone, BluFiPlan, Wish
from qiot.protocols.ble.blufi_security import Recorded
from qiot.protocols.ble.btcombo import BtComboDevice
from qiot.protocols.ble.btcombo_phone import BtComboPhone, BtComboPlan
from qiot.protocols.ble.btcombo_wire import DialectName
from qiot.protocols.ble.llsync import LLSyncDevice
from qiot.protocols.ble.llsync_phone import CONNECT_TIMEOUT, STEP_TIMEOUT, TOKEN_TIMEOUT, LLSyncPhone
from qiot.protocols.ble.thing import Style, ThingDevice
from qiot.protocols.ble.thing_messages import DEFAULT_PORT, BleAction
from qiot.protocols.ble.thing_phone import RESULT_TIMEOUT, ThingPhone
from qiot.testbed.ble.fields import Fields
from qiot.testbed.ble.sources import Clock

__all__ = ["PROTOCOLS", "SIDES", "Protocol", "Side"]

Side = Literal["device", "phone"]
SIDES: Final = ("device", "phone")

Random = Callable[[int], bytes]
Build = Callable[[Fields, Random, Clock], Codec]
_PlanT = TypeVar("_PlanT", BluFiPlan, BtComboPlan)

_WISHES: Final = ("security", "networks", "join", "status", "custom", "token", "close")
_DIALECTS: Final = ("v1", "v2", "v3")
_STYLES: Final[tuple[str, ...]] = get_args(Style)
_BLE_ACTIONS: Final[tuple[str, ...]] = get_args(BleAction)


@attrs.frozen
class Protocol:
    """One protocol on the bench.

    Attributes:
        device: Builds the device's side.
        phone: Builds the phone's side.
        write: The characteristic that a phone writes to.
        notify: The characteristic that a phone listens to.
    """

    device: Build
    phone: Build
    write: str
    notify: str


# --- what several have in common ---------------------------------------------------------------------------


def _identity(fields: Fields) -> tuple[str, str]:
    """`identity`: Tencent's product id and device name."""
    identity = fields.inner("identity")
    names = identity.text("product_id", "L4WG9V9M2M"), identity.text("device_name", "TEST2")
    identity.end()
    return names


def _ssid(phone: Fields) -> bytes | None:
    ssid = phone.octets("ssid")
    if len(ssid) > SSID_MAX:
        raise phone.wrong("ssid", f"has more than {SSID_MAX} octets")
    return ssid or None


def _passwords(phone: Fields) -> list[Secret]:
    """`password`, then those of `retries`."""
    retries = phone.items("retries") or ()
    if not all(isinstance(each, str) for each in retries):
        raise phone.wrong("retries", "is no list of strings")
    return [phone.secret("password") or Secret(b""), *(Secret(str(each)) for each in retries)]


def _bssid(phone: Fields) -> bytes | None:
    bssid = phone.text("bssid").replace(":", "")
    if not bssid:
        return None
    try:
        octets = bytes.fromhex(bssid)
    except ValueError:
        octets = b""
    if len(octets) != 6:  # noqa: PLR2004 - a MAC address
        raise phone.wrong("bssid", "is no address of six octets")
    return octets


def _credentials(phone: Fields) -> list[Credentials]:
    ssid = _ssid(phone)
    passwords = _passwords(phone)
    return [] if ssid is None else [Credentials(ssid, password) for password in passwords]


def _plan(phone: Fields, make: Callable[..., _PlanT], kind: type[_PlanT]) -> _PlanT:
    """`plan`: times in seconds, by the names of the codec's plan; no pauses where nothing is said."""
    plan = phone.inner("plan")
    usual = kind()
    names = [field.name for field in attrs.fields(kind)]
    times = {
        name: plan.number(name, 0.0 if name == "gap" else float(getattr(usual, name)), 0.0, 1e6)
        for name in names
    }
    plan.end()
    return make(**times)


# --- BluFi -------------------------------------------------------------------------------------------------


def _recorded(fields: Fields) -> Recorded | None:
    """`keys`: a recorded key exchange."""
    if "keys" not in fields:
        return None
    keys = fields.inner("keys")
    public, key, shared = keys.hexed("public"), keys.hexed("key"), keys.hexed("shared")
    keys.end()
    if (key is None) == (shared is None):
        raise ConfigurationError("keys: wants key (security version 1) or shared (version 2)")
    if key is not None and len(key) != 16:  # noqa: PLR2004
        raise keys.wrong("key", "has not 16 octets")
    return Recorded(public or b"", Secret(key) if key else None, Secret(shared) if shared else None)


def _answer(fields: Fields) -> Callable[[bytes], bytes | None] | None:
    """`custom`: "echo", or the octets that answer custom data."""
    if "custom" not in fields and "custom_hex" not in fields:
        return None
    octets = fields.octets("custom")

    def answer(data: bytes) -> bytes:
        return data if octets == b"echo" else octets

    return answer


def _blufi_device(fields: Fields, random: Random, clock: Clock) -> Codec:
    del clock
    # Stock devices send no bind result: one that has no identity replays them.
    product_id, device_name = _identity(fields) if "identity" in fields else ("", "")
    options = fields.inner("options")
    version = options.choice("version", ("1.2", "1.3", "1.4"), "1.3")
    device = BluFiDevice(
        random=random,
        version=cast("Literal['1.2', '1.3', '1.4']", version),
        product_id=product_id,
        device_name=device_name,
        exact=options.boolean("exact", default=True),
        encrypted_only=options.boolean("encrypted_only", default=False),
        strip=options.boolean("strip", default=False),
        message_max=options.integer("message_max", 16384, 1, 65535),
        custom=_answer(options),
        recorded=_recorded(fields),
    )
    options.end()
    return device


def _blufi_phone(fields: Fields, random: Random, clock: Clock) -> Codec:
    del clock
    phone = fields.inner("phone")
    wanted = phone.items("wanted")
    for wish in wanted or ():
        if wish not in _WISHES:
            raise phone.wrong("wanted", f"has {wish!r}, not one of {', '.join(_WISHES)}")
    ssid = _ssid(phone)
    password, *retries = _passwords(phone)
    token = phone.secret("token")
    if ssid is None and "join" in (wanted or ()):
        raise phone.wrong("ssid", "is missing, and wanted has join")
    if token is None and "token" in (wanted or ()):
        raise phone.wrong("token", "is missing, and wanted has it")
    codec = BluFiPhone(
        random=random,
        ssid=ssid,
        password=password,
        retries=retries,
        token=token,
        bssid=_bssid(phone),
        security=phone.boolean("security", default=True),
        wanted=None if wanted is None else cast("list[Wish]", wanted),
        custom=phone.octets("custom"),
        strip=phone.boolean("strip", default=False),
        plan=_plan(phone, BluFiPlan, BluFiPlan),
        recorded=_recorded(fields),
    )
    phone.end()
    return codec


# --- BT-Combo ----------------------------------------------------------------------------------------------


def _btcombo_device(fields: Fields, random: Random, clock: Clock) -> Codec:
    del random, clock
    product_id, device_name = _identity(fields)
    options = fields.inner("options")
    parts = options.text("version", "1.2").split(".")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) < 256 for part in parts):  # noqa: PLR2004
        raise options.wrong("version", 'is not two numbers, as "1.2"')
    device = BtComboDevice(
        product_id=product_id,
        device_name=device_name,
        dialect=cast("DialectName", options.choice("dialect", _DIALECTS, "v2")),
        version=(int(parts[0]), int(parts[1])),
        continuations=options.boolean("continuations", default=True),
        reasons=options.boolean("reasons", default=False),
    )
    options.end()
    return device


def _btcombo_phone(fields: Fields, random: Random, clock: Clock) -> Codec:
    del random, clock
    phone = fields.inner("phone")
    ssid = _ssid(phone)
    if ssid is None:
        raise phone.wrong("ssid", "is missing")
    password, *retries = _passwords(phone)
    dialect = phone.choice("dialect", ("auto", *_DIALECTS), "auto")
    log = phone.choice("log", ("never", "failure", "always"), "failure")
    codec = BtComboPhone(
        ssid=ssid,
        password=password,
        retries=retries,
        token=phone.secret("token"),
        bssid=_bssid(phone),
        dialect=None if dialect == "auto" else cast("DialectName", dialect),
        log=cast("Literal['never', 'failure', 'always']", log),
        plan=_plan(phone, BtComboPlan, BtComboPlan),
    )
    phone.end()
    return codec


# --- LLSync ------------------------------------------------------------------------------------------------


def _llsync_device(fields: Fields, random: Random, clock: Clock) -> Codec:
    del random, clock
    _, device_name = _identity(fields)
    options = fields.inner("options")
    device = LLSyncDevice(
        device_name=device_name,
        mtu=options.integer("mtu", 128, 20, 517),
        wants_mtu=options.boolean("wants_mtu", default=True),
        pad_log=options.boolean("pad_log", default=True),
    )
    options.end()
    return device


def _llsync_phone(fields: Fields, random: Random, clock: Clock) -> Codec:
    del random, clock
    phone = fields.inner("phone")
    codec = LLSyncPhone(
        credentials=_credentials(phone),
        token=phone.secret("token"),
        log=phone.boolean("log", default=False),
        mtu=phone.integer("mtu", 20, 20, 514) if "mtu" in phone else None,
        step_timeout=phone.number("step_timeout", STEP_TIMEOUT),
        connect_timeout=phone.number("connect_timeout", CONNECT_TIMEOUT),
        token_timeout=phone.number("token_timeout", TOKEN_TIMEOUT),
        resends=phone.integer("resends", 1, 0, 100),
    )
    phone.end()
    return codec


# --- thing.network -----------------------------------------------------------------------------------------


def _thing_device(fields: Fields, random: Random, clock: Clock) -> Codec:
    identity, options = fields.inner("identity"), fields.inner("options")
    device = ThingDevice(
        product_id=identity.text("product_id", "pLF3mqUTbrst7"),
        uuid=identity.text("uuid", "rn01b55A74fa0c16"),
        secret=identity.secret("secret"),
        wifi_mac=identity.text("wifi_mac"),
        ble_mac=identity.text("ble_mac"),
        version=identity.text("version", "1.0.0"),
        mcu_version=identity.text("mcu_version"),
        random=random,
        wall=clock.time_of_day,
        bound=options.boolean("bound", default=False),
        gateway=options.boolean("gateway", default=False),
        wifi=options.boolean("wifi", default=True),
        style=cast("Style", options.choice("style", _STYLES, "protco")),
        sign_method=options.choice("sign_method", ("hmacSha1", "hmacSha256"), "hmacSha1"),
    )
    identity.end()
    options.end()
    return device


def _thing_phone(fields: Fields, random: Random, clock: Clock) -> Codec:
    phone = fields.inner("phone")
    ble = phone.choice("ble", ("", *_BLE_ACTIONS), "")
    codec = ThingPhone(
        random=random,
        wall=clock.time_of_day,
        credentials=_credentials(phone),
        bid=phone.secret("bid"),
        user_id=phone.text("user_id"),
        mq=phone.text("mq"),
        port=phone.integer("port", DEFAULT_PORT, 1, 65535),
        mqtt_ssl_port=phone.integer("mqtt_ssl_port", 8883, 1, 65535) if "mqtt_ssl_port" in phone else None,
        country=phone.text("country"),
        area_code=phone.text("area_code"),
        tz=phone.text("tz"),
        force_bind=phone.boolean("force_bind", default=False),
        ble=cast("BleAction", ble) if ble else None,
        scan=phone.boolean("scan", default=True) if "scan" in phone else None,
        uuid=phone.text("uuid"),
        secret=phone.secret("secret"),
        result_timeout=phone.number("result_timeout", RESULT_TIMEOUT),
    )
    phone.end()
    return codec


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "blufi": Protocol(_blufi_device, _blufi_phone, "ff01", "ff02"),
    "btcombo": Protocol(_btcombo_device, _btcombo_phone, "ff01", "ff02"),
    "llsync": Protocol(_llsync_device, _llsync_phone, "ffe1", "ffe3"),
    "thing": Protocol(_thing_device, _thing_phone, "2b11", "2b10"),
}
