"""Names and numbers of NetworkManager's D-Bus interface (nm-dbus-interface.h, version 1.42)."""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "ACCESS_POINT",
    "ACTIVE",
    "DEVICE",
    "IP4",
    "NM",
    "NM_PATH",
    "NOTHING",
    "PROFILE",
    "SETTINGS",
    "SETTINGS_PATH",
    "WIRELESS",
    "ActiveState",
    "DeviceReason",
    "DeviceState",
    "UpdateFlag",
]

NM: Final = "org.freedesktop.NetworkManager"
NM_PATH: Final = "/org/freedesktop/NetworkManager"
SETTINGS_PATH: Final = f"{NM_PATH}/Settings"
DEVICE: Final = f"{NM}.Device"
WIRELESS: Final = f"{NM}.Device.Wireless"
ACCESS_POINT: Final = f"{NM}.AccessPoint"
ACTIVE: Final = f"{NM}.Connection.Active"
SETTINGS: Final = f"{NM}.Settings"
PROFILE: Final = f"{NM}.Settings.Connection"
IP4: Final = f"{NM}.IP4Config"

NOTHING: Final = "/"
"""The path that stands for no object."""


class DeviceState(enum.IntEnum):
    """NMDeviceState."""

    UNKNOWN = 0
    UNMANAGED = 10
    UNAVAILABLE = 20
    DISCONNECTED = 30
    PREPARE = 40
    CONFIG = 50
    NEED_AUTH = 60
    IP_CONFIG = 70
    IP_CHECK = 80
    SECONDARIES = 90
    ACTIVATED = 100
    DEACTIVATING = 110
    FAILED = 120


class ActiveState(enum.IntEnum):
    """NMActiveConnectionState."""

    UNKNOWN = 0
    ACTIVATING = 1
    ACTIVATED = 2
    DEACTIVATING = 3
    DEACTIVATED = 4


class DeviceReason(enum.IntEnum):
    """NMDeviceStateReason, as far as it is told apart here."""

    NONE = 0
    CONFIG_FAILED = 4
    IP_CONFIG_UNAVAILABLE = 5
    IP_CONFIG_EXPIRED = 6
    NO_SECRETS = 7
    SUPPLICANT_DISCONNECT = 8
    SUPPLICANT_CONFIG_FAILED = 9
    SUPPLICANT_FAILED = 10
    SUPPLICANT_TIMEOUT = 11
    DHCP_START_FAILED = 15
    DHCP_ERROR = 16
    DHCP_FAILED = 17
    SHARED_START_FAILED = 18
    SHARED_FAILED = 19
    SSID_NOT_FOUND = 53
    NEW_ACTIVATION = 60


class UpdateFlag(enum.IntFlag):
    """NMSettingsUpdate2Flags."""

    TO_DISK = 0x01
    NO_REAPPLY = 0x40
