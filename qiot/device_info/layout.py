"""Names and placeholders in device_info.json (contract section 11)."""

from __future__ import annotations

from typing import Final

NO_PRODUCT_ID: Final = "PRODUCT_ID"
NO_NAME: Final = "YOUR_DEV_NAME"
NO_PRODUCT_SECRET: Final = "YOUR_PRODUCT_SECRET"  # noqa: S105 - the C SDK's placeholder
NO_DEVICE_SECRET: Final = "YOUR_IOT_PSK"  # noqa: S105 - the C SDK's placeholder
NO_CERT_FILE: Final = "YOUR_DEVICE_CERT_FILE_NAME"
NO_KEY_FILE: Final = "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME"

CERTS: Final = "certs"
"""The folder beside the file where the C SDK keeps certificates."""

DEVICE_SECRET: Final = ("key_deviceinfo", "deviceSecret")
CERT_FILE: Final = ("cert_deviceinfo", "devCertFile")
KEY_FILE: Final = ("cert_deviceinfo", "devPrivateKeyFile")
