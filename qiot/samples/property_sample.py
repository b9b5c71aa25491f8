"""Properties alone: connect a device that is in the network and bound, ask, report, carry out controls."""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack

from qiot.api import make_binder
from qiot.cloud.tencent.thing import Thing
from qiot.device_info import Cloud
from qiot.errors import ConfigurationError
from qiot.log import get_logger
from qiot.samples.demo import demo
from qiot.samples.options import add_cloud_options, cloud_options, identity, main, wants_local_cloud
from qiot.samples.surroundings import LocalSide

log = get_logger()


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m qiot.samples.property_sample",
        description="Connect, get the status, report the properties, carry out controls.",
        epilog="Exit code 0: reported. 1: failed. 2: usage or configuration.",
    )
    parser.add_argument("-l", dest="loop", action="store_true", help="go on reporting until stopped")
    add_cloud_options(parser)
    return parser


async def run(arguments: argparse.Namespace) -> int:
    """Connect and report."""
    info = identity(arguments)
    async with AsyncExitStack() as stack:
        options = cloud_options(arguments)
        if wants_local_cloud(arguments, info):
            side = await stack.enter_async_context(LocalSide(info, arguments.device_info))
            options = side.options(options)
        if info.cloud is not Cloud.TENCENT:
            raise ConfigurationError(f"properties at {info.cloud} have another form than this sample's")
        binder = make_binder(info, options)
        if not binder.registered:
            info = await binder.register()
        link = await binder.connect()
        stack.push_async_callback(link.close)
        return 0 if await demo(Thing(link, info), info, loop=arguments.loop) else 1


if __name__ == "__main__":
    sys.exit(main(make_parser(), run))
