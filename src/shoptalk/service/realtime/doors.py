"""How a WebSocket comes in: key, limits and address are looked at first; whoever may not gets a status."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from starlette.websockets import WebSocket

from shoptalk.service import problems
from shoptalk.service.access.callers import SUBPROTOCOL
from shoptalk.service.account import account_of
from shoptalk.service.problems import Problem, not_ready
from shoptalk.service.realtime.channel import Channel
from shoptalk.service.realtime.live import Live, LiveService

REALTIME = "realtime"
"""The subprotocol that OpenAI's API answers with."""


Handle = Callable[[Live, Channel], Awaitable[int]]
"""What is done for a connection; gives the close code in the end."""


async def serve(service: LiveService, websocket: WebSocket, prepare: Callable[[], Handle]) -> None:
    """Let a WebSocket in if it may, and do for it what `prepare` returns.

    `prepare` reads the address and raises `Problem` for a wrong one.
    """
    account = account_of(websocket)
    account.route = getattr(websocket.scope.get("route"), "path", account.route)  # its items are noted before its end
    with ExitStack() as held:
        try:
            if service.stopping():
                raise not_ready("the server stops; connect again")
            caller = service.access.admit(websocket, "transcribe")
            handle = prepare()
            held.enter_context(service.access.recording(caller))
        except Problem as problem:
            account.code = problem.code
            await websocket.send_denial_response(problems.answer(problem))
            return
        await websocket.accept(_subprotocol(websocket))
        held.enter_context(service.telemetry.metrics.live_sessions.track_inprogress())
        live = Live(service, caller, account)
        channel = Channel(websocket, service.stopping)
        await channel.serve(lambda channel: handle(live, channel), within_s=service.settings.live_max_s)


def _subprotocol(websocket: WebSocket) -> str | None:
    """What is answered to the subprotocols that a client offers; browsers close a connection that answers none.

    A key is told back only where a client offers nothing else: it is its own.
    """
    offered: list[str] = list(websocket.scope.get("subprotocols", ()))
    if REALTIME in offered or not offered:
        return REALTIME if offered else None
    return next((name for name in offered if not name.startswith(SUBPROTOCOL)), offered[0])
