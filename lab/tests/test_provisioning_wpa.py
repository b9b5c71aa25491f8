"""Provisioning a device whose radio is run by wpa_supplicant."""

from __future__ import annotations

import pytest

from lab.support.managers import WithSupplicant
from lab.support.provisioning import Provisioning
from lab.tests.provisioning_cases import ProvisioningCases, lot

__all__ = ["TestWithSupplicant", "lot"]


class TestWithSupplicant(ProvisioningCases):
    """Every case, and the count."""

    manager_type = WithSupplicant

    @pytest.mark.smoke
    @pytest.mark.usefixtures("manager")
    @pytest.mark.vm("smoke")
    @pytest.mark.duration(90)
    @pytest.mark.limit(400)
    def test_bound_three_times_out_of_three(self, lot: Provisioning) -> None:
        self.bound_times(lot, 3)

    @pytest.mark.usefixtures("manager")
    @pytest.mark.vm("ten")
    @pytest.mark.duration(300)
    @pytest.mark.limit(1200)
    def test_bound_ten_times_out_of_ten(self, lot: Provisioning) -> None:
        self.bound_times(lot, 10)
