"""The table at the end of a run: which steps, when, how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qiot.model import Event, Outcome, Step

__all__ = ["table"]

_TITLE = ("step", "outcome", "seconds", "detail")


def table(events: Iterable[Event]) -> str:
    """The events that moved the run on, one line each, with seconds since its start."""
    rows: list[Sequence[str]] = [_TITLE]
    for event in events:
        ended = event.outcome is not Outcome.STARTED or event.step is Step.LISTENING
        if not ended or event.detail.get("again") or event.outcome is Outcome.PROGRESS:
            continue
        rows.append((event.step.value, event.outcome.value, f"{event.t:.3f}", _detail(event)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLE) - 1)]
    lines = []
    for step, outcome, seconds, detail in rows:
        line = f"{step:<{widths[0]}}  {outcome:<{widths[1]}}  {seconds:>{widths[2]}}  {detail}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _detail(event: Event) -> str:
    if event.failure is not None:
        return str(event.failure)
    detail = event.detail
    if event.step is Step.LISTENING and event.outcome is Outcome.STARTED:
        place = f", {detail['host']}:{detail['port']}" if detail.get("host") else ""
        return f"{detail.get('methods', '')}{place}"
    if event.step is Step.JOINING:
        return ", ".join(str(detail[key]) for key in ("ssid", "ip") if key in detail)
    return f"phone {event.peer.address}" if event.peer and event.step is Step.LISTENING else ""
