"""Bluetooth of the mock: a controller of bumble on the world's air."""

from __future__ import annotations

from qiot.errors import NotSupportedError
from qiot.hal.contract import Gatt
from qiot.sim.bluetooth import bumble_installed
from qiot.sim.world import World

__all__ = ["make_gatt"]


def make_gatt(world: World) -> Gatt:
    """A GATT server that the world's phones can find.

    Raises:
        NotSupportedError: bumble is not installed.
    """
    if not bumble_installed():
        raise NotSupportedError(
            "Gatt: the mock's Bluetooth needs bumble", hint="Install it: pip install 'qiot[bumble]'."
        )
    from qiot.hal.bumble.gatt import BumbleGatt

    address = world.bluetooth.address()
    return BumbleGatt(lambda: world.bluetooth.device(address))
