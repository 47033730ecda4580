"""The endpoint and a stand-in for the server behind it, on loopback, in threads of the test's own process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from config import Config
from env import templates_of
from llm import make_llm
from serve.app import Limits, make_app
from serve.cli import NO_ROWS, make_task, make_upstream, open_log, open_store
from serve.protocol import BoundedProtocol
from serve.service import Service, Way
from serve.tenants import Tenants

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

KEY = "upstreams-own-key"
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"city": "Graz"}'}}


@contextmanager
def running(app: Any) -> Iterator[str]:
    """`app` behind uvicorn while the context lasts; gives its address."""
    settings = uvicorn.Config(app, http=BoundedProtocol, port=0, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class StandIn:
    """A server of the OpenAI protocol that answers by a function of the last message, and notes what it was sent."""

    answer: Callable[[str], str] = lambda text: f"heard: {text}"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    seconds: float = 0.0
    cut: bool = False  # a stream ends before it says why
    address: str = ""

    def app(self) -> Starlette:
        routes = [Route("/v1/chat/completions", self.chat, methods=["POST"]), Route("/v1/models", self.models)]
        return Starlette(routes=routes)

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "model", "object": "model"}]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.seconds)
        if self.status != 200:
            error = {"error": {"message": "not now", "type": "server_error", "param": None, "code": "busy"}}
            return JSONResponse(error, self.status, headers={"retry-after": "7"})
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        message: dict[str, Any] = {"role": "assistant", "content": self.answer(text)}
        if body.get("tools"):
            message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        head = {"id": "theirs", "created": 1, "model": body.get("model"), "system_fingerprint": "fp"}
        if body.get("stream"):
            return StreamingResponse(self.pieces(head, message), media_type="text/event-stream")
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": len(text), "completion_tokens": 3, "total_tokens": len(text) + 3}
        return JSONResponse(head | {"object": "chat.completion", "choices": [choice], "usage": usage})

    async def pieces(self, head: dict[str, Any], message: dict[str, Any]) -> Any:
        head = head | {"object": "chat.completion.chunk"}
        deltas = [{"role": "assistant", "content": ""}, *({"content": part} for part in message["content"] or "")]
        if "tool_calls" in message:
            deltas.append({"tool_calls": [CALL | {"index": 0}]})
        for delta in deltas:
            yield f"data: {json.dumps(head | {'choices': [{'index': 0, 'delta': delta, 'finish_reason': None}]})}\n\n"
        if not self.cut:
            done = {"index": 0, "delta": {}, "finish_reason": "stop"}
            yield f"data: {json.dumps(head | {'choices': [done]})}\n\ndata: [DONE]\n\n"


@contextmanager
def stand_in(**options: Any) -> Iterator[StandIn]:
    """A stand-in upstream that runs while the context lasts."""
    server = StandIn(**options)
    with running(server.app()) as address:
        server.address = f"{address}/v1"
        yield server


@dataclass
class Running:
    """An endpoint: its address, its services by tenant."""

    address: str
    tenants: Tenants

    @property
    def service(self) -> Service:
        return self.tenants.get("")


@contextmanager
def endpoint(
    output: Path,
    encoder: TextEncoder,
    upstream: StandIn | None = None,
    limits: Limits | None = None,
    way: Way | None = None,
    bank: Path | None = None,
    **options: Any,
) -> Iterator[Running]:
    """An endpoint that runs while the context lasts, before `upstream` or, without one, the embedded reader."""
    if upstream is not None:
        options = {"serving_mode": "vllm", "server": upstream.address, "llm": "model"} | options
    config = Config(**{"env": "banking77", "bandit": "Pretrained", "output_dir": str(output)} | options)
    env, way = make_task(config, None), way or Way(waits=True)
    llm = make_llm(config, lambda: encoder)

    def make_service(tenant: str) -> Service:
        log = open_log(config, env, way, tenant)
        log.begin({"options": asdict(config), "data": NO_ROWS, "prompts": templates_of(env)}, {"llm": llm.details()})
        store = open_store(bank, lambda: encoder) if bank else None
        return Service(config, env, llm, lambda: encoder, log, way, store)

    tenants = Tenants(make_service)
    try:
        with running(make_app(tenants, make_upstream(config, llm), limits or Limits())) as address:
            yield Running(address, tenants)
    finally:
        tenants.close()
