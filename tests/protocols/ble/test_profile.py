"""What an advertisement says of the services."""

import attrs
import pytest

from qiot.errors import HalError
from qiot.model import Reason
from qiot.protocols.ble.profile import GattProfile

PROFILE = GattProfile("fff0", {})


def test_every_list_of_services_counts_wherever_it_stands():
    long = bytes(range(16))
    profile = attrs.evolve(
        PROFILE,
        advertising=bytes.fromhex("0201060503f0ff01a1"),
        scan_response=b"\x05\x09RYab" + b"\x11\x07" + long,
    )
    assert profile.advertised == ["fff0", "a101", "0f0e0d0c-0b0a-0908-0706-050403020100"]
    assert PROFILE.advertised == []


@pytest.mark.parametrize("octets", ["0303f0", "00", "0203f0", "0403f0ff01", "0506000102ff"])
def test_a_damaged_advertisement_is_said(octets):
    profile = attrs.evolve(PROFILE, advertising=bytes.fromhex(octets))
    with pytest.raises(HalError) as caught:
        _ = profile.advertised
    assert caught.value.reason is Reason.CONFIGURATION
