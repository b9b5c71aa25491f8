"""Camera: pictures that can be read, and the camera given back."""

from __future__ import annotations

import asyncio
from typing import Final

from qiot.errors import HalError
from qiot.hal.conformance.bench import CUTS, Bench
from qiot.hal.conformance.check import check, expect
from qiot.hal.contract import Camera

_PNG: Final = (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")
_JPEG: Final = (b"\xff\xd8\xff", b"\xff\xd9")
"""First and last octets (PNG, 5.2 and 5.6; JPEG, T.81 annex B)."""


async def _start(bench: Bench, camera: Camera) -> None:
    await bench.call("Camera.start", camera.start())


async def _stop(bench: Bench, camera: Camera) -> None:
    await bench.call("Camera.stop", camera.stop())


@check(Camera, "stop")
async def stop_is_idempotent_and_safe_without_a_start(bench: Bench) -> None:
    """However often, before and after; and it starts again."""
    camera = bench.port(Camera)
    for _ in range(2):
        await _stop(bench, camera)
    for _ in range(2):
        await _start(bench, camera)
        for _ in range(2):
            await _stop(bench, camera)


@check(Camera, "start")
async def a_cancelled_start_leaves_nothing(bench: Bench) -> None:
    """Wherever it is cut off; the next start works."""
    camera = bench.port(Camera)
    for after in bench.environment.cancel_after:
        await bench.cancelled("Camera.start", camera.start(), after)
        await _stop(bench, camera)
    await _start(bench, camera)
    await _stop(bench, camera)


@check(Camera, "read")
async def pictures_are_whole_png_or_jpeg(bench: Bench) -> None:
    """One after the other."""
    camera = bench.port(Camera)
    await _start(bench, camera)
    for _ in range(3):
        picture = await bench.call("Camera.read", camera.read())
        begins = [(first, last) for first, last in (_PNG, _JPEG) if picture.startswith(first)]
        expect(begins, f"it begins with {picture[:8]!r}, which is neither PNG nor JPEG")
        expect(picture.endswith(begins[0][1]), f"it is cut off after {len(picture)} octets")


@check(Camera, "read")
async def a_read_needs_a_start(bench: Bench) -> None:
    """HalError before start and after stop."""
    camera = bench.port(Camera)
    await bench.refused("Camera.read", camera.read())
    await _start(bench, camera)
    await _stop(bench, camera)
    await bench.refused("Camera.read", camera.read())


@check(Camera, "stop")
async def stop_ends_a_pending_read(bench: Bench) -> None:
    """With a picture that was just taken, or with HalError."""
    camera = bench.port(Camera)
    await _start(bench, camera)
    for turns in range(CUTS):
        reading = asyncio.ensure_future(camera.read())
        for _ in range(turns):
            await asyncio.sleep(0)
        await _stop(bench, camera)
        error = await bench.attempted("Camera.read, when the camera is stopped,", reading)
        expect(error is None or isinstance(error, HalError), f"Camera.stop ended a read with {error!r}")
        await _start(bench, camera)


@check(Camera, "read")
async def a_cancelled_read_leaves_it_usable(bench: Bench) -> None:
    """The next read gives a picture."""
    camera = bench.port(Camera)
    await _start(bench, camera)
    for after in bench.environment.cancel_after:
        await bench.cancelled("Camera.read", camera.read(), after)
    expect(await bench.call("Camera.read", camera.read()), "a picture without octets")
