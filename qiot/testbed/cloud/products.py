"""Products, of whichever cloud."""

from __future__ import annotations

import attrs

from qiot.model import Secret

__all__ = ["Product"]


@attrs.frozen
class Product:
    """One product.

    Attributes:
        product_id: 1 to 10 letters and digits; of rlink, where it is the pid, up to 16.
        secret: At least 16 characters (rlink: any); None where dynamic registration is off.
        auto_create: Dynamic registration creates devices that are not known.
    """

    product_id: str
    secret: Secret | None
    auto_create: bool = False
