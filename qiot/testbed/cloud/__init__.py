"""A local stand-in for Tencent IoT Explorer and rlink, so that device and phone can run without an account.

It is written from the contract alone and shares no code with qiot's own cloud side, so that a mistake in one
shows itself against the other. From the shell: ``python -m qiot.testbed.cloud --help``. In a program::

    async with LocalCloud() as cloud:
        print(cloud.http_url, cloud.mqtt_url)
        await cloud.wait_for(lambda record: record.kind is Kind.BIND and record.code == 0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qiot.testbed.cloud.journal import Kind, Record
from qiot.testbed.cloud.registry import DEMO_DEVICE_NAME, DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET

if TYPE_CHECKING:
    from qiot.testbed.cloud.server import LocalCloud

__all__ = [
    "DEMO_DEVICE_NAME",
    "DEMO_PRODUCT_ID",
    "DEMO_PRODUCT_SECRET",
    "Kind",
    "LocalCloud",
    "Record",
]


def __getattr__(name: str) -> Any:
    """Load `LocalCloud` when it is asked for: it brings a broker with it, which no device needs."""
    if name != "LocalCloud":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from qiot.testbed.cloud.server import LocalCloud

    return LocalCloud
