"""The mock platform: a simulated radio in a simulated world, with real UDP sockets and real files."""

from qiot.hal.mock.platform import MockPlatform

__all__ = ["MockPlatform"]
