"""Finding the network that a phone did not name."""

from __future__ import annotations

import attrs

from qiot.model import Credentials, Network, Secret, Security, SsidClue
from qiot.protocols.air.crc import crc8
from qiot.wifi_config.clue import describe_clue, resolve

HOME = Network(b"home", bytes.fromhex("00e04c8712ab"), 6, -60, Security.WPA2)
OTHER = Network(b"mine", bytes.fromhex("00e04c871200"), 1, -30, Security.WPA2)
HIDDEN = Network(b"", bytes.fromhex("00e04c871299"), 1, -30, Security.WPA2)
AROUND = [OTHER, HIDDEN, HOME]


def unnamed(clue: SsidClue, bssid: bytes | None = None) -> Credentials:
    return Credentials(None, Secret("home-password"), bssid, clue=clue)


def test_by_length_and_checksum_of_the_name() -> None:
    found = resolve(unnamed(SsidClue(4, crc8(b"home"), crc8(HOME.bssid))), AROUND)
    assert found == Credentials(b"home", Secret("home-password"), HOME.bssid, 6)


def test_of_two_of_one_name_the_one_with_the_right_address_is_taken() -> None:
    second = attrs.evolve(HOME, bssid=bytes.fromhex("00e04c8712ff"), channel=11, signal=-20)
    by_crc = resolve(unnamed(SsidClue(4, crc8(b"home"), crc8(HOME.bssid))), [second, HOME])
    named = resolve(unnamed(SsidClue(4, crc8(b"home")), HOME.bssid), [second, HOME])
    strongest = resolve(unnamed(SsidClue(4, crc8(b"home"))), [HOME, second])
    assert by_crc is not None
    assert named is not None
    assert strongest is not None
    assert (by_crc.channel, named.channel, strongest.channel) == (6, 6, 11)


def test_where_only_the_address_is_known_it_has_to_be_right() -> None:
    clue = SsidClue(0, 0, crc8(HOME.bssid))
    found = resolve(unnamed(clue), AROUND)
    assert found is not None
    assert found.ssid == b"home"
    assert resolve(unnamed(clue), [OTHER]) is None


def test_nothing_fits_nothing_is_made_up() -> None:
    assert resolve(unnamed(SsidClue(4, crc8(b"home") ^ 1)), AROUND) is None
    assert resolve(unnamed(SsidClue(5, crc8(b"home"))), AROUND) is None
    assert resolve(Credentials(None, Secret("")), AROUND) is None


def test_a_named_network_stays_as_it_is() -> None:
    named = Credentials(b"home", Secret(""), clue=SsidClue(4, 1))
    assert resolve(named, []) is named


def test_a_clue_for_people() -> None:
    assert describe_clue(unnamed(SsidClue(4, 0xA1, 0x10))) == (
        "a name of 4 octets with CRC 0xa1, an access point whose address has CRC 0x10"
    )
    assert "access point 00:e0:4c:87:12:ab" in describe_clue(unnamed(SsidClue(0, 0), HOME.bssid))
