"""A separate process that sends one traced command to a log and dies at once, before its saga has come far.

`python traced_child.py <URL>` prints the trace id.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from support.transfers import Account, Ask, Desk, Transfer, open_accounts

from actorium import Runtime
from actorium.contrib.opentelemetry import OpenTelemetry


async def main(url: str) -> None:
    """Open two accounts, ask for a transfer within the span of a request, and get killed."""
    provider = TracerProvider()
    telemetry = OpenTelemetry(tracer_provider=provider)
    async with Runtime(
        [Account, Desk, Transfer],
        store=url,
        instruments=[telemetry],
        caller_headers=telemetry.caller_headers,
    ) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        with provider.get_tracer("web").start_as_current_span("POST /transfers") as request:
            await runtime.send(Ask("desk", "alice", "bob", 10))
            os.write(1, trace.format_trace_id(request.get_span_context().trace_id).encode())
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
