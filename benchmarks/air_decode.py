"""How long the decoders of what is in the air need under random loss, beside the limit of the same run.

The air is that of `qiot.sim.air`: a phone with other traffic sends to its access point, which sends on with a
counter of its own; frames are sent again where they are not acknowledged, and each one heard is lost with the
same chance, beacons and strangers too. One half of the way is heard, and the receiver is on its channel from
the start. Time counts from the phone's first packet.

The limit is the first moment at which every needed symbol had got through once. A decoder can be faster,
where symbols follow from others. The peers are the vendors' own receivers under random loss, WeChat's with a
short guide code (its first figure is at 2 %).

    python benchmarks/air_decode.py [--runs 100] [--direction to|from|both] [--dozing] [--bursts] [--busy]
        [--heard everything|device|data] [--skip 0] [--protocol NAME] [--json]

`--dozing`: the access point keeps what is for everybody until its DTIM beacon. `--bursts`: interference takes
nearly everything for 50 ms, every half second. `--busy`: phone and house send ten times as much beside.
`--heard`: what the sniffer's filter passes; a device listens to data for everybody and beacons.
`--skip N` starts after N packets.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from qiot.model import Secret
from qiot.protocols.air.airkiss import AirKiss, Pacing
from qiot.protocols.air.casts import Cast, Encoder
from qiot.protocols.air.esptouch import EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.protocols.air.tracker import Tracker
from qiot.sim.air import Bursts, House, Link, Manners, Traffic
from tests.protocols.air.scene import PHONE, Scene, only, take

SSID: Final = b"MyHome-2G"
PASSWORD: Final = Secret(b"pass1234word")
BSSID: Final = bytes.fromhex("10203040506f")
"""Of another access point than the one that is heard, so that it has to come out of the datum."""
LOSSES: Final = (0.0, 0.1, 0.2, 0.3, 0.4)
NEVER: Final = float("inf")


@attrs.frozen
class Case:
    """One protocol.

    Attributes:
        encoder: Makes a phone.
        needed: The parts that have to get through, and how many of a part in a row say the same.
        peer: The vendor's receiver, median seconds by loss.
        seconds: How long the phone is listened to.
    """

    encoder: Callable[[random.Random], Encoder]
    needed: Mapping[str, int]
    peer: Mapping[float, float] = attrs.field(factory=dict, hash=False)
    seconds: float = 45.0


def simple_config(source: random.Random, pattern: int) -> RealtekSimpleConfig:
    """Realtek's phone."""
    return RealtekSimpleConfig(SSID, PASSWORD, "192.168.1.100", PHONE, source.randbytes, pattern=pattern)


CASES: Final[Mapping[str, Case]] = {
    "esptouch-v1": Case(
        lambda _: EspTouch(SSID, PASSWORD, BSSID, "192.168.1.100"),
        {"data": 1},
        {0.0: 2.8, 0.1: 5.0, 0.2: 9.4, 0.3: 16.6},
    ),
    "esptouch-v2": Case(
        lambda source: EspTouchV2(SSID, PASSWORD, BSSID, source.randbytes),
        {"sync": 2, "count": 2, "sequence": 3, "data": 1},
    ),
    "airkiss": Case(lambda _: AirKiss(SSID, PASSWORD, 186), {"magic": 1, "prefix": 1, "data": 1}),
    "airkiss, short guide, 5 ms": Case(
        lambda _: AirKiss(SSID, PASSWORD, 186, pacing=Pacing(guides=10, magics=5, interval=0.005)),
        {"magic": 1, "prefix": 1, "data": 1},
        {0.0: 0.9, 0.1: 1.2, 0.2: 2.1, 0.3: 5.2},
    ),
    "simple config, pattern 2": Case(
        lambda source: simple_config(source, 2),
        {"sync": 1, "data": 1},
        seconds=20.0,
    ),
    "simple config, pattern 4": Case(
        lambda source: simple_config(source, 4),
        {"sync": 32, "data": 1},
    ),
}


def keyed(case: Case, encoder: Encoder) -> Iterator[tuple[Cast, tuple[str, int] | None]]:
    """What is sent, each with what it says, if that is needed."""
    sizes = Counter(cast.part for cast in encoder.round())
    counts: Counter[str] = Counter()
    for cast in encoder.casts():
        if cast.t >= case.seconds:
            return
        same = case.needed.get(cast.part)
        key = None if same is None else (cast.part, counts[cast.part] % sizes[cast.part] // same)
        counts[cast.part] += 1
        yield cast, key


def run(case: Case, loss: float, seed: int, options: argparse.Namespace) -> tuple[float, float]:
    """One run: when it was decoded, and the limit; infinity for never."""
    source = random.Random(seed)  # noqa: S311 - runs have to be repeatable
    encoder = case.encoder(source)
    sent = list(itertools.islice(keyed(case, encoder), options.skip, None))
    start = sent[0][0].t
    casts = [attrs.evolve(cast, t=cast.t - start) for cast, _ in sent]
    keys = {id(cast): key for cast, (_, key) in zip(casts, sent, strict=True)}
    missing = {key for _, key in sent if key is not None}
    more = 10 if options.busy else 1
    scene = Scene(
        seed=f"{seed}/{loss}",
        manners=Manners(dozing=options.dozing),
        house=House(wired=2.0 * more),
        heard=options.heard,
    )
    scene.phone(casts, traffic=Traffic(up=3.0 * more, voice=0.2 * more, nulls=0.5, probes=0.1))
    tracker = Tracker()
    limit = decoded = NEVER
    for heard in scene.hear(
        case.seconds + 1,
        link=Link(loss),
        links=only(options.direction, Link(loss)),
        bursts=Bursts() if options.bursts else None,
    ):
        key = keys.get(id(heard.origin))
        if key in missing:
            missing.discard(key)
            if not missing:
                limit = heard.t
        for result in take(tracker, heard):
            assert (result.credentials.ssid, result.credentials.password) == (SSID, PASSWORD)
            decoded = min(decoded, heard.t)
        if max(limit, decoded) < NEVER:
            break
    return decoded, limit


def measured(name: str, loss: float, options: argparse.Namespace) -> dict[str, object]:
    """One line of the table."""
    runs = [run(CASES[name], loss, seed, options) for seed in range(options.runs)]
    decoded, limits = sorted(time for time, _ in runs), sorted(limit for _, limit in runs)
    return {
        "protocol": name,
        "direction": options.direction,
        "loss": loss,
        "median": statistics.median(decoded),
        "p95": decoded[min(len(decoded) - 1, round(0.95 * len(decoded)))],
        "limit_median": statistics.median(limits),
        "ratio": statistics.median(decoded) / statistics.median(limits),
        "decoded": sum(time < NEVER for time in decoded),
        "runs": options.runs,
        "peer": CASES[name].peer.get(loss),
    }


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--heard", choices=("everything", "device", "data"), default="device")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--direction", choices=("to", "from", "both"), default="to")
    for flag in ("--dozing", "--bursts", "--busy"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--protocol", choices=CASES, action="append")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    options = parse_options(arguments)
    if not options.json:
        title = f"seconds, {options.runs} runs"
        print(f"{title:28} loss  median    p95  limit  ratio  decoded   peer")
    for name, loss in itertools.product(options.protocol or CASES, LOSSES):
        line = measured(name, loss, options)
        if options.json:
            print(json.dumps(line), flush=True)
            continue
        peer = "-" if line["peer"] is None else f"{line['peer']:.1f}"
        print(
            f"{name:28} {loss:4.0%} {line['median']:7.2f} {line['p95']:6.2f} {line['limit_median']:6.2f} "
            f"{line['ratio']:6.2f} {line['decoded']:8} {peer:>6}",
            flush=True,
        )


if __name__ == "__main__":
    main()
