"""What is around the scripted module: access points, and a way to the host's own servers."""

from __future__ import annotations

import attrs

__all__ = ["AccessPoint", "around"]


@attrs.define
class AccessPoint:
    """One network.

    Attributes:
        ssid: Its name.
        password: What opens it; empty for an open one.
        channel: Where it is.
        dhcp: False where it gives no addresses.
        hidden: It does not tell its name.
    """

    ssid: str
    password: str = ""
    channel: int = 6
    dhcp: bool = True
    hidden: bool = False

    @property
    def bssid(self) -> str:
        """Made of the name."""
        return "02:00:00:00:{:02x}:{:02x}".format(*divmod(sum(self.ssid.encode()) & 0xFFFF, 256))

    @property
    def line(self) -> str:
        """The way AT+CWLAP tells of it."""
        shown = "" if self.hidden else escaped(self.ssid)
        kind = 3 if self.password else 0
        return f'+CWLAP:({kind},"{shown}",-{40 + self.channel},"{self.bssid}",{self.channel},-1,-1,4,4,7,0)'


def escaped(text: str) -> str:
    """With a backslash before what has a meaning in an AT string."""
    return "".join(f"\\{each}" if each in '",\\' else each for each in text)


def around() -> dict[str, AccessPoint]:
    """Networks of every kind."""
    found = [
        AccessPoint("Home", "home-password"),
        AccessPoint("Second", "second-password", channel=11),
        AccessPoint('Caf\u00e9 "1,2"', channel=1),
        AccessPoint("Hidden", "hidden-password", hidden=True),
        AccessPoint("Silent", "silent-password", dhcp=False),
    ]
    return {each.ssid: each for each in found}
