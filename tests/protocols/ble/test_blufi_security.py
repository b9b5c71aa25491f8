"""BluFi's key exchange refuses what would make it worthless, and nothing falls back to clear."""

import pytest

from qiot.errors import ProtocolError
from qiot.protocols.ble.blufi_cipher import GROUP_V1, GROUP_V2
from qiot.protocols.ble.blufi_phone import BluFiPlan
from qiot.protocols.ble.blufi_security import KeyExchange, PhoneExchange
from qiot.protocols.ble.frames import ErrorCode
from tests.protocols.ble.blufi_support import device, ending, octets, pair, phone

# --- security ---


def parameters(p: int, g: int, public: int, size: int | None = None) -> bytes:
    out = b"\1"
    for number in (p, g, public):
        octets = number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
        out += len(octets).to_bytes(2, "big") + octets
    return out


def negotiated(version: int, message: bytes, announced: int | None = None) -> int | None:
    """The error that the device answers, or None."""
    exchange = KeyExchange(version, octets())
    total = len(message) - 1 if announced is None else announced
    try:
        exchange.feed(b"\0" + total.to_bytes(2, "big"))
        agreed = exchange.feed(message)
    except ProtocolError as error:
        return error.code
    assert agreed is not None
    return None


P1, P2 = GROUP_V1.p, GROUP_V2.p
GOOD = pow(2, 12345, P1)


@pytest.mark.parametrize("public", [0, 1, P1 - 1, P1, P1 + 1])
def test_degenerate_public_values_of_version_1(public):
    assert negotiated(1, parameters(P1, 2, public)) == ErrorCode.READ_PARAMETERS


def test_a_public_value_longer_than_the_prime():
    prime = P1.to_bytes(128, "big")
    for size, code in ((128, None), (129, ErrorCode.READ_PARAMETERS), (700, ErrorCode.READ_PARAMETERS)):
        fields = (prime, b"\2", GOOD.to_bytes(size, "big"))
        message = b"\1" + b"".join(len(each).to_bytes(2, "big") + each for each in fields)
        assert negotiated(1, message) == code


@pytest.mark.parametrize("public", [0, 1, P2 - 1, P2, P2 + 1])
def test_degenerate_public_values_of_version_2(public):
    assert negotiated(2, parameters(P2, 2, public)) == ErrorCode.READ_PARAMETERS


@pytest.mark.parametrize("bits", [1, 8, 64, 512, 768, 1023])
def test_small_groups(bits):
    assert negotiated(1, parameters((1 << bits) - 1, 2, 5)) == ErrorCode.DH_PARAMETERS


def test_absurd_groups():
    assert negotiated(1, parameters((1 << 1024) + 2, 2, GOOD)) == ErrorCode.DH_PARAMETERS
    assert negotiated(1, parameters((1 << 3500) + 1, 2, 5)) == ErrorCode.DH_PARAMETERS
    for generator in (0, 1, P1 - 1, P1):
        assert negotiated(1, parameters(P1, generator, GOOD)) == ErrorCode.DH_PARAMETERS
    assert negotiated(1, parameters(P1, 2, GOOD), announced=1025) == ErrorCode.DH_PARAMETERS
    assert negotiated(1, parameters(P1, 2, GOOD), announced=0) == ErrorCode.DH_PARAMETERS
    assert negotiated(1, parameters(P1, 2, GOOD)) is None


def test_version_2_takes_its_own_group_only():
    assert negotiated(2, parameters(P1, 2, GOOD)) == ErrorCode.DH_PARAMETERS
    assert negotiated(2, parameters(P2, 5, GOOD)) == ErrorCode.DH_PARAMETERS
    assert negotiated(2, parameters(P2, 2, GOOD)) is None


def test_parameters_that_are_cut_off_or_too_long():
    whole = parameters(P1, 2, GOOD)
    assert negotiated(1, whole[:-1]) == ErrorCode.READ_PARAMETERS
    assert negotiated(1, whole + b"x") == ErrorCode.READ_PARAMETERS
    assert negotiated(1, whole, announced=100) == ErrorCode.DATA_FORMAT
    assert negotiated(1, b"\1" + bytes(6)) == ErrorCode.READ_PARAMETERS


@pytest.mark.parametrize(
    ("message", "code"),
    [(b"", 9), (b"\0", 9), (b"\0\1\7\0", 9), (b"\1", 6), (b"\5", 9)],
)
def test_negotiation_out_of_order(message, code):
    with pytest.raises(ProtocolError) as raised:
        KeyExchange(1, octets()).feed(message)
    assert raised.value.code == code


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("public", [0, 1, -1])
def test_the_phone_refuses_degenerate_values_too(version, public):
    p = GROUP_V1.p if version == 1 else GROUP_V2.p
    value = (public % p).to_bytes((p.bit_length() + 7) // 8, "big")
    with pytest.raises(ProtocolError, match="degenerate"):
        PhoneExchange(version, octets()).finish(value)


SEED_WITH_A_LEADING_ZERO = 55
"""With it the shared secret of the two random sources of this test begins with a zero octet."""


@pytest.mark.parametrize("strip", [False, True])
def test_leading_zeros_of_version_2(strip):
    """One session in 256 has one; the two sides have to agree on what becomes of it."""
    seed = SEED_WITH_A_LEADING_ZERO
    joined = pair(
        device(version="1.4", random=octets(seed), strip=strip),
        phone(random=octets(seed + 10_000), strip=strip),
    )
    assert ending(joined).failure is None
    other = pair(
        device(version="1.4", random=octets(seed), strip=strip),
        phone(random=octets(seed + 10_000), strip=not strip),
    )
    other.wait(300)
    assert ending(other).failure is not None


def test_security_never_falls_back_to_clear():
    made = pair(
        device(version="1.4"),
        phone(plan=BluFiPlan(security=1.0)),
        up=lambda data: [] if data[0] == 1 else [data],
    )
    made.wait(60)
    assert ending(made).failure is not None
    assert all(write[0] in (0x1C, 0x01) for write in made.writes())
