"""The blocking façade and the module functions, as a C program would use them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qiot import blocking
from qiot.blocking import (
    WIFI_CONFIG_FAILED,
    WIFI_CONFIG_GOING_ON,
    WIFI_CONFIG_SUCCESS,
    BlockingWifiConfig,
    is_wifi_config_successful,
    query_wifi_config_state,
    start_log_softAP,
    start_smartconfig,
    start_softAP,
    start_wifi_config,
    stop_wifi_config,
)
from qiot.errors import ConfigurationError, QiotError
from qiot.model import Reason, Step
from qiot.testbed.cloud import LocalCloud
from qiot.testbed.phone import LogPhone, SoftApPhone
from tests.end_to_end.support import (
    DEVICE,
    HOME,
    IDENTITY,
    PASSWORD,
    PATIENCE,
    at,
    is_free,
    settings,
)


class Background:
    """The cloud and the phones, on an event loop in a thread of their own."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._loop = asyncio.new_event_loop()
        self._running = executor.submit(self._loop.run_forever)
        self.cloud = LocalCloud([DEVICE], connect_interval=0.0)
        self.run(self.cloud.start())

    def run(self, coroutine: Any, timeout: float = PATIENCE) -> Any:
        return self.begin(coroutine).result(timeout)

    def begin(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def phone(self, host: str, port: int, password: str = PASSWORD) -> Any:
        """Begin to provision; the device may still be on its way to listening."""
        phone = SoftApPhone(
            host,
            port,
            ssid=HOME,
            password=password,
            app_url=f"{self.cloud.http_url}/app",
            resend_interval=0.1,
            poll_interval=0.05,
        )
        return self.begin(phone.run())

    def close(self) -> None:
        self.run(self.cloud.aclose())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._running.result(PATIENCE)
        self._loop.close()


@pytest.fixture
def background(nothing_left: None) -> Iterator[Background]:
    with ThreadPoolExecutor(1) as executor, contextlib.closing(Background(executor)) as made:
        yield made


@pytest.fixture(autouse=True)
def stopped(nothing_left: None) -> Iterator[None]:
    """No run is left to the next test, and no thread."""
    yield
    stop_wifi_config()
    assert "qiot" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def host() -> str:
    """A loopback address that nobody else uses: the log port is fixed."""
    return f"127.{os.getpid() % 250 + 1}.{os.urandom(1)[0]}.{os.urandom(1)[0] % 250 + 2}"


def free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def options(background: Background, host: str, **changes: Any) -> dict[str, Any]:
    given = settings(udp_host=host, udp_port=free_port(host), **changes)
    return {
        "hal": f"mock,ap_sta=yes,ssid={HOME},password={PASSWORD}",
        "cloud": at(background.cloud),
        "settings": given,
    }


def wait_for_result() -> int:
    """The loop of Tencent's example, with an event to wait for instead of 150 times 2 s."""
    state = query_wifi_config_state()
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if state != WIFI_CONFIG_GOING_ON:
            break
        pause.wait(0.02)
        state = query_wifi_config_state()
    return state


def test_the_example_of_the_c_code_succeeds(background, host):
    given = options(background, host)
    assert start_softAP(IDENTITY, **given) == 0
    assert query_wifi_config_state() == WIFI_CONFIG_GOING_ON
    assert not is_wifi_config_successful()
    phone = background.phone(host, given["settings"].udp_port)
    assert wait_for_result() == WIFI_CONFIG_SUCCESS
    assert is_wifi_config_successful()
    assert phone.result(PATIENCE).bound
    stop_wifi_config()
    assert not is_wifi_config_successful()
    assert is_free(host, given["settings"].udp_port)


def test_the_example_of_the_c_code_fails_and_sends_its_log(background, host):
    background.cloud.set_mode({"connack": {"do": "code", "code": 5}})
    given = options(background, host, retry_window=0.05)
    assert start_softAP(IDENTITY, **given) == 0
    phone = background.phone(host, given["settings"].udp_port)
    assert wait_for_result() == WIFI_CONFIG_FAILED
    assert not is_wifi_config_successful()
    assert not phone.result(PATIENCE).bound
    assert start_log_softAP() == 0
    log = background.run(LogPhone(host, quiet=0.05, resend_interval=0.2).run())
    assert "WIFI_MQTT_CONNECT_FAILED" in log.text, log.error
    assert PASSWORD not in log.text
    stop_wifi_config()
    assert is_free(host, 9876)


def test_a_new_start_ends_the_run_before_it(background, host):
    given = options(background, host)
    assert start_softAP(IDENTITY, **given) == 0
    assert start_softAP(IDENTITY, **given) == 0, "on the same port"
    phone = background.phone(host, given["settings"].udp_port)
    assert wait_for_result() == WIFI_CONFIG_SUCCESS
    assert phone.result(PATIENCE).bound


def test_nothing_was_started():
    assert query_wifi_config_state() == WIFI_CONFIG_FAILED
    assert not is_wifi_config_successful()
    assert start_log_softAP() == -1
    stop_wifi_config()


def test_what_cannot_start_is_minus_one(background, host, written, tmp_path):
    given = options(background, host)
    deaf = f"{given['hal']},sniff=no"
    assert start_smartconfig(IDENTITY, **given | {"hal": deaf}) == -1
    assert "smart_config" in written.getvalue()
    assert start_wifi_config("carrier_pigeon", IDENTITY, **given) == -1
    assert "carrier_pigeon" in written.getvalue()
    assert start_softAP(tmp_path / "missing.json", **given) == -1
    assert "missing.json" in written.getvalue()
    assert start_softAP(IDENTITY, hal="toaster") == -1
    assert query_wifi_config_state() == WIFI_CONFIG_FAILED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind((host, given["settings"].udp_port))
        assert start_softAP(IDENTITY, **given) == -1
        assert "port busy" in written.getvalue() or "in use" in written.getvalue().lower()
    assert start_softAP(IDENTITY, **given) == 0


def test_the_log_is_refused_during_a_run(background, host):
    assert start_softAP(IDENTITY, **options(background, host)) == 0
    assert start_log_softAP() == -1
    assert query_wifi_config_state() == WIFI_CONFIG_GOING_ON


def test_the_object_waits_with_and_without_limit(background, host):
    given = options(background, host)
    with BlockingWifiConfig(IDENTITY, **given) as wifi:
        with pytest.raises(ConfigurationError, match="nothing was started"):
            wifi.wait()
        assert wifi.start() == 0
        assert wifi.start() == -1, "a run is on"
        with pytest.raises(TimeoutError):
            wifi.wait(0.01)
        assert wifi.query_state() == WIFI_CONFIG_GOING_ON
        phone = background.phone(host, given["settings"].udp_port)
        assert wifi.wait().step is Step.BOUND
        assert phone.result(PATIENCE).bound
    assert is_free(host, given["settings"].udp_port)


def test_a_stop_from_another_thread_ends_the_wait(background, host):
    with BlockingWifiConfig(IDENTITY, **options(background, host)) as wifi:
        assert wifi.start() == 0
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(wifi.wait) for _ in range(3)]
            pool.submit(wifi.stop).result(PATIENCE)
            assert {each.result(PATIENCE).failure.reason for each in waiting} == {Reason.STOPPED}
        assert wifi.query_state() == WIFI_CONFIG_FAILED
        assert wifi.start() == 0, "and it starts again"


def test_a_close_from_another_thread_ends_the_wait(background, host):
    wifi = BlockingWifiConfig(IDENTITY, **options(background, host))
    assert wifi.start() == 0
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wifi.wait)
        _run_in_loop(wifi)
        wifi.close()
        assert waiting.result(PATIENCE).failure.reason is Reason.STOPPED


def _run_in_loop(wifi: BlockingWifiConfig) -> None:
    """One round trip through the façade's loop."""
    wifi.query_state()
    with contextlib.suppress(TimeoutError):
        wifi.wait(0.05)


def test_closing_from_many_threads_at_once_ends(background, host):
    wifi = BlockingWifiConfig(IDENTITY, **options(background, host))
    assert wifi.start() == 0
    together = threading.Barrier(4)

    def close() -> None:
        together.wait()
        wifi.close()

    # Daemons: where one hangs, the test fails and the test run goes on.
    threads = [threading.Thread(target=close, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert [thread.is_alive() for thread in threads] == [False] * 4
    wifi.close()


@pytest.mark.parametrize(
    "call", [lambda wifi: wifi.wait(1), lambda wifi: wifi.start(), lambda wifi: wifi.send_log()]
)
def test_a_closed_object_refuses_typed(background, host, call: Callable[[BlockingWifiConfig], Any]):
    wifi = BlockingWifiConfig(IDENTITY, **options(background, host))
    wifi.close()
    wifi.close()
    try:
        refused = call(wifi) == -1
    except QiotError:
        refused = True
    assert refused
    wifi.stop()
    assert wifi.query_state() == WIFI_CONFIG_FAILED


def test_a_device_that_cannot_be_made_leaves_no_thread(tmp_path):
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(ConfigurationError):
            BlockingWifiConfig(tmp_path / "missing.json")
        with pytest.raises(ConfigurationError):
            BlockingWifiConfig(IDENTITY, hal="mock,unknown=option")
    assert threading.active_count() == before


def test_two_objects_side_by_side(background, host):
    both = [options(background, host) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(BlockingWifiConfig(IDENTITY, **given)) for given in both]
        assert [each.start() for each in opened] == [0, 0]
        opened[0].stop()
        assert [each.query_state() for each in opened] == [WIFI_CONFIG_FAILED, WIFI_CONFIG_GOING_ON]
        phone = background.phone(host, both[1]["settings"].udp_port)
        assert opened[1].wait(PATIENCE).step is Step.BOUND
        assert phone.result(PATIENCE).bound


def test_the_module_keeps_no_run_after_a_stop(background, host):
    assert start_softAP(IDENTITY, **options(background, host)) == 0
    stop_wifi_config()
    stop_wifi_config()
    assert blocking._current is None
