"""Provisioning over SoftAP on real radios: every case is run for each manager of the device's radio."""

from __future__ import annotations

import pytest

from lab.support.bench import Bench
from lab.support.home_ap import HomeAp
from lab.support.managers import Manager
from lab.support.programs import run
from lab.support.provisioning import STATE, Device, Provisioning

SINGLE = "ap_sta=no"
WRONG = "not-the-password"
EARLIER = b"LAB-EARLIER"


@pytest.fixture
def lot(bench: Bench) -> Provisioning:
    return Provisioning(bench)


def nothing_is_left(lot: Provisioning) -> None:
    """No access point, no second interface, nothing to undo, and no program of qiot's.

    But the DHCP client of a network that was kept, with its script: its lease has to be renewed, and nobody
    else does it.
    """
    shown = run(["iw", "dev"])
    assert "type AP" not in shown
    assert "type monitor" not in shown
    assert shown.count("Interface") == 1, shown
    programs = [line for line in run(["ps", "-eo", "args"]).splitlines() if "/run/qiot" in line]
    assert not [line for line in programs if "udhcpc" not in line and "/dhcp-" not in line], programs
    undo = STATE / f"undo-{lot.radio.interface}.json"
    assert not undo.exists() or undo.read_text().strip() == "[]", undo.read_text()


class ProvisioningCases:
    """Inherit and name the manager."""

    manager_type: type[Manager]

    @pytest.fixture
    def manager(self, bench: Bench, lot: Provisioning) -> Manager:
        made = self.manager_type(lot.radio)
        made.start(bench)
        return made

    @pytest.fixture
    def earlier(self, bench: Bench, lot: Provisioning, manager: Manager) -> HomeAp:
        """A second network, which the device is in before qiot starts."""
        access_point = bench.home_ap(lot.spare(), ssid=EARLIER, channel=6, name="earlier")
        manager.join(access_point)
        return access_point

    def provision(self, lot: Provisioning, device: Device) -> None:
        """One good run, from the phone in the device's access point to the end of the program."""
        before = lot.bound()
        lot.join_device()
        application = lot.application()
        application.start()
        application.wait_for("answered")
        assert device.wait() == 0, device.text()[-6000:]
        assert lot.bound() == before + 1
        application.stop()
        lot.phone.leave()

    # --- it works -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("spec", ["", SINGLE], ids=["ap_sta", "single"])
    @pytest.mark.duration(90)
    @pytest.mark.limit(400)
    def test_the_phone_sees_the_device_bound(self, lot: Provisioning, manager: Manager, spec: str) -> None:
        """The phone goes home after the device's answer and binds it there, as the mini program does."""
        device = lot.device(spec=spec)
        device.start()
        lot.join_device()
        application = lot.application(until_bound=True)
        application.start()
        application.wait_for("reply")
        lot.phone.join(lot.home.ssid, lot.home.password, frequencies=[lot.home.frequency])
        assert application.wait(120) == 0, application.told()
        assert application.told("bound")
        assert device.wait() == 0
        manager.wait_for_network(lot.home.ssid)
        nothing_is_left(lot)

    def bound_times(self, lot: Provisioning, times: int) -> None:
        for number in range(times):
            device = lot.device(spec=SINGLE if number % 2 else "", options=["--forget"])
            device.start()
            self.provision(lot, device)
        assert lot.bound() == times
        nothing_is_left(lot)

    # --- it does not, and says why ------------------------------------------------------------------------

    @pytest.mark.duration(120)
    @pytest.mark.limit(400)
    def test_a_wrong_password_is_told_when_the_access_point_is_back(
        self, lot: Provisioning, earlier: HomeAp, manager: Manager
    ) -> None:
        device = lot.device(spec=SINGLE)
        device.start()
        lot.join_device()
        first = lot.application(password=WRONG)
        first.start()
        first.wait_for("answered")
        device.wait_for("wrong password")
        lot.join_device()
        second = lot.application()
        second.start()
        (error, *_) = second.wait_for("error")
        assert (error["source"], error["current"]) == ("device", False)
        assert "(12, 202)" in error["text"]
        told = [each["event"] for each in second.told() if each["event"] in ("error", "reply")]
        assert told[0] == "error", "the error comes before the answer"
        assert device.wait() == 0, device.text()[-6000:]
        manager.wait_for_network(lot.home.ssid)
        assert earlier.ssid == EARLIER

    @pytest.mark.duration(120)
    @pytest.mark.limit(400)
    def test_a_wrong_password_is_told_at_once_beside_the_station(
        self, lot: Provisioning, manager: Manager
    ) -> None:
        device = lot.device()
        device.start()
        lot.join_device()
        first = lot.application(password=WRONG, until_bound=True)
        first.start()
        (error, *_) = first.wait_for("error")
        assert (error["source"], error["current"]) == ("device", True)
        assert "(12, 202)" in error["text"]
        assert first.wait() == 1
        assert lot.phone.joined(), "the access point stayed"
        second = lot.application()
        second.start()
        assert device.wait() == 0, device.text()[-6000:]
        manager.wait_for_network(lot.home.ssid)

    def fails(
        self, lot: Provisioning, manager: Manager, *, says: tuple[str, ...], spec: str = SINGLE
    ) -> None:
        """A try that fails with one of these reasons; afterwards the earlier network is back."""
        device = lot.device(spec=spec)
        device.start()
        lot.join_device()
        application = lot.application()
        application.start()
        application.wait_for("answered")
        device.wait_for("joining failed:")
        (line, *_) = [line for line in device.text().splitlines() if "joining failed:" in line]
        assert any(reason in line for reason in says), line
        device.stop()
        manager.wait_for_network(EARLIER)
        nothing_is_left(lot)

    @pytest.mark.usefixtures("earlier")
    @pytest.mark.duration(80)
    @pytest.mark.limit(300)
    def test_no_such_access_point(self, lot: Provisioning, manager: Manager) -> None:
        lot.home.stop()
        self.fails(lot, manager, says=("no such access point",))

    @pytest.mark.usefixtures("earlier")
    @pytest.mark.duration(100)
    @pytest.mark.limit(300)
    def test_dhcp_that_is_silent(self, lot: Provisioning, manager: Manager) -> None:
        lot.home.stop_dhcp()
        self.fails(lot, manager, says=("no address by DHCP",))

    @pytest.mark.usefixtures("earlier")
    @pytest.mark.duration(100)
    @pytest.mark.limit(300)
    def test_an_access_point_that_vanishes_during_the_join(self, lot: Provisioning, manager: Manager) -> None:
        lot.home.stop_dhcp()
        lot.when_joined(lot.home.vanish)
        self.fails(lot, manager, says=("no such access point", "no address by DHCP", "join time-out"))

    @pytest.mark.usefixtures("earlier")
    @pytest.mark.duration(120)
    @pytest.mark.limit(400)
    def test_a_cloud_that_is_not_reachable(self, lot: Provisioning, manager: Manager) -> None:
        lot.cloud.stop()
        device = lot.device(spec=SINGLE)
        device.start()
        lot.join_device()
        application = lot.application(token="0123456789abcdef0123456789abcdef")
        application.start()
        application.wait_for("answered")
        device.wait_for("registering failed: not reachable", 120)
        assert device.wait(180) == 1
        manager.wait_for_network(EARLIER)
        nothing_is_left(lot)

    @pytest.mark.parametrize(
        "point",
        [
            "listening on",
            "STA to connect",
            "wifi_sta_connect success",
            "device bind start",
            "Device bind success",
        ],
    )
    @pytest.mark.usefixtures("earlier", "manager")
    @pytest.mark.duration(150)
    @pytest.mark.limit(500)
    def test_killed_and_started_again(self, lot: Provisioning, point: str) -> None:
        device = lot.device(spec=SINGLE if point.startswith("STA") else "", options=["--forget"])
        device.start()
        if point != "listening on":
            lot.join_device()
            application = lot.application()
            application.start()
            device.wait_for(point)
        device.kill()
        lot.phone.leave()
        again = lot.device(options=["--forget"])
        again.start()
        self.provision(lot, again)
        nothing_is_left(lot)
