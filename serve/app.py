"""The endpoint's routes, and what is refused before anything is done.

POST   /v1/chat/completions   as OpenAI's, streamed or not; the answer's id takes feedback
POST   /v1/feedback           {"id": ..., "reward": 0 or 1, "answer": a correction, optional}
GET    /v1/models             the upstream's
GET    /v1/cases              the bank, newest first, or nearest to ?q=; DELETE /v1/cases/KEY takes a case out
GET    /v1/requests           the latest requests with what they were shown
GET    /v1/stats              counts, success rates, the gain over the holdout
GET    /metrics               the same for Prometheus
GET    /healthz               whether it answers and learns
GET    /                      a page of all this
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from errors import printable
from step import Case

from .learner import as_dict
from .messages import Unusable, read_messages, text_of, whole
from .metrics import expose
from .page import CONTENT_SECURITY_POLICY, page
from .service import OUTCOMES, Asked, Service
from .tenants import Tenants, UnknownTenant
from .upstream import Upstream, Whole, failure

LOOPBACK = ("127.0.0.1", "localhost", "::1")
BODY_SECONDS = 30.0  # for a client to send its whole body
MOST = 500  # cases or requests in one answer
FEEDBACK_HEADERS = ("x-feedback-id", "x-feedback-reward", "x-feedback-answer")
FEEDBACK_KEYS = ("feedback_id", "feedback_reward", "feedback_answer")  # of `metadata`
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Limits:
    """What is refused.

    Attributes:
        api_key: what clients have to send as their bearer token; None for no key.
        tenant_header: the header that says whose bank it is; None for one bank.
        body, prompt: the most bytes of a body and characters of its messages.
        rate: requests a minute from one client; None for any number.
        hosts: the host names that requests may be for; ["*"] for any.
    """

    api_key: str | None = None
    tenant_header: str | None = None
    body: int = 4 * 2**20
    prompt: int = 400_000
    rate: float | None = None
    hosts: tuple[str, ...] = ("*",)


class Refused(Exception):
    """A request that gets an error; `whole` is the answer."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.whole = failure(status, printable(message), kind)


def make_app(tenants: Tenants, upstream: Upstream, limits: Limits) -> Starlette:
    """The application; `tenants` stay the caller's to close, `upstream` is closed with the application's event loop."""
    endpoint = Endpoint(tenants, upstream, limits)
    routes = [
        Route("/v1/chat/completions", endpoint.guard(endpoint.chat), methods=["POST"]),
        Route("/v1/feedback", endpoint.guard(endpoint.feedback), methods=["POST"]),
        Route("/v1/models", endpoint.guard(endpoint.models)),
        Route("/v1/cases", endpoint.guard(endpoint.cases)),
        Route("/v1/cases/{key}", endpoint.guard(endpoint.remove), methods=["DELETE"]),
        Route("/v1/requests", endpoint.guard(endpoint.requests)),
        Route("/v1/stats", endpoint.guard(endpoint.stats)),
        Route("/metrics", endpoint.guard(endpoint.metrics)),
        Route("/healthz", endpoint.health),
        Route("/", endpoint.front),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=list(limits.hosts), www_redirect=False)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await upstream.close()

    return Starlette(routes=routes, middleware=[hosts], lifespan=lifespan)


class Endpoint:
    """The handlers."""

    def __init__(self, tenants: Tenants, upstream: Upstream, limits: Limits) -> None:
        self._tenants = tenants
        self._upstream = upstream
        self._limits = limits
        self._pace = Pace(limits.rate)

    # -- what every request passes -------------------------------------------------------------------------------------

    def guard(self, handler: Handler) -> Handler:
        """`handler`, for those who have the key and keep to the rate; what it refuses becomes an answer."""

        async def guarded(request: Request) -> Response:
            try:
                self._check_key(request)
                if not self._pace.allows(request.client.host if request.client else ""):
                    raise Refused(429, "too many requests: try again in a minute", "rate_limit_error")
                return await handler(request)
            except Refused as error:
                return as_response(error.whole)
            except Unusable as error:
                return as_response(Refused(400, str(error)).whole)
            except UnknownTenant as error:
                return as_response(Refused(400, str(error)).whole)
            except ClientDisconnect:
                return Response(status_code=499)
            except OSError as error:  # a full disk: nothing was acknowledged
                return as_response(Refused(507, f"cannot keep this: {error.strerror or error}", "server_error").whole)

        return guarded

    def _check_key(self, request: Request) -> None:
        if self._limits.api_key is None:
            return
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sent.encode(errors="replace"), self._limits.api_key.encode()):
            raise Refused(401, "the API key is missing or wrong", "authentication_error")

    def _service(self, request: Request) -> Service:
        header = self._limits.tenant_header
        if header is None:
            return self._tenants.get("")
        name = request.headers.get(header, "").strip()
        if not name:
            raise Refused(400, f"the header {header} must say whose bank this is")
        return self._tenants.get(name)

    async def _body(self, request: Request) -> Any:
        """The JSON of a request, read within a time and a size."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "the body must be application/json")
        body = bytearray()
        try:
            with anyio.fail_after(BODY_SECONDS):
                async for piece in request.stream():
                    body += piece
                    if len(body) > self._limits.body:
                        raise Refused(413, f"the body is larger than {self._limits.body:,} bytes")
        except TimeoutError:
            raise Refused(408, "the body did not come in time") from None
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None

    # -- answering -----------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Response:
        service = self._service(request)
        body = await self._body(request)
        messages = read_messages(body)
        if sum(len(text_of(message)) for message in messages) > self._limits.prompt:
            raise Refused(413, f"the messages are longer than {self._limits.prompt:,} characters")
        body = await self._take_feedback(service, request, body)
        asked = await service.begin(messages)
        body["messages"] = asked.messages
        if body.get("stream"):
            return await self._streamed(service, asked, body)
        whole = await self._upstream.ask(body)
        answer = _json_object(whole)
        if whole.status != 200 or answer is None or not answer.get("choices"):
            return as_response(whole)
        await service.finish(asked, answer)
        return JSONResponse(answer | {"id": asked.id})

    async def _streamed(self, service: Service, asked: Asked, body: dict[str, Any]) -> Response:
        """The upstream's pieces under our id; the answer is on disk before the last line, `[DONE]`, is sent."""
        context = self._upstream.stream(body)
        answer = await context.__aenter__()
        if isinstance(answer, Whole):
            await context.__aexit__(None, None, None)
            return as_response(answer)

        async def pieces() -> AsyncIterator[str]:
            try:
                heard = Heard()
                async for data in answer:
                    if data == "[DONE]":
                        break
                    piece = heard.take(data)
                    yield f"data: {data if piece is None else json.dumps(piece | {'id': asked.id})}\n\n"
                if heard.complete:
                    await service.finish(asked, heard.answer())
                    yield "data: [DONE]\n\n"
            finally:
                await context.__aexit__(None, None, None)

        return StreamingResponse(pieces(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    # -- feedback ------------------------------------------------------------------------------------------------------

    async def feedback(self, request: Request) -> Response:
        service = self._service(request)
        body = await self._body(request)
        if not isinstance(body, dict):
            raise Refused(400, "the body must be a JSON object")
        outcome = await self._feed(service, body.get("id"), body.get("reward"), body.get("answer"))
        status, meaning = OUTCOMES[outcome]
        if status != 200:
            raise Refused(status, meaning)
        return JSONResponse({"id": body["id"], "outcome": outcome})

    async def _take_feedback(self, service: Service, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Take the feedback that comes with a question, in headers or in `metadata`; the body without it."""
        metadata = body.get("metadata")
        said = [request.headers.get(name) for name in FEEDBACK_HEADERS]
        if isinstance(metadata, dict) and FEEDBACK_KEYS[0] in metadata:
            said = [metadata.get(name) for name in FEEDBACK_KEYS]
            rest = {name: value for name, value in metadata.items() if name not in FEEDBACK_KEYS}
            body = {name: value for name, value in body.items() if name != "metadata"}
            body |= {"metadata": rest} if rest else {}
        if said[0] is not None:
            outcome = await self._feed(service, *said)
            status, meaning = OUTCOMES[outcome]
            if status != 200:
                raise Refused(status, f"feedback for {said[0]}: {meaning}")
        return body

    async def _feed(self, service: Service, id: Any, reward: Any, answer: Any) -> str:
        if isinstance(reward, str) and reward in ("0", "1"):
            reward = int(reward)
        if not isinstance(id, str) or not 0 < len(id) <= 100:
            raise Refused(400, "id must be the id of an answer")
        if type(reward) not in (int, bool) or reward not in (0, 1):
            raise Refused(400, "reward must be 0 or 1")
        if answer is not None and not isinstance(answer, str):
            raise Refused(400, "answer must be a text: the right answer")
        if answer is not None and len(answer) > self._limits.prompt:
            raise Refused(413, f"answer is longer than {self._limits.prompt:,} characters")
        try:
            return await service.feed(whole(id), int(reward), None if answer is None else whole(answer))
        except ValueError as error:
            raise Refused(422, f"answer: {error}") from None

    # -- looking -------------------------------------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        return as_response(await self._upstream.models())

    async def cases(self, request: Request) -> Response:
        service, query = self._service(request), request.query_params.get("q", "")
        size, start = _number(request, "limit", 50), _number(request, "offset", 0)
        if len(query) > self._limits.prompt:
            raise Refused(413, "the query is too long")
        if query.strip():
            found = await asyncio.to_thread(service.nearest, query, min(size, MOST))
        else:
            found = service.learner.bank[::-1][start : start + min(size, MOST)]
        records = await asyncio.to_thread(service.ledger.records, [case.key for case in found])
        return JSONResponse({"total": len(service.learner.bank), "cases": [_case(case, records) for case in found]})

    async def remove(self, request: Request) -> Response:
        key = request.path_params["key"]
        if not await self._service(request).remove(key):
            raise Refused(404, "no case with this key")
        return JSONResponse({"key": key, "removed": True})

    async def requests(self, request: Request) -> Response:
        latest = await asyncio.to_thread(self._service(request).ledger.latest, min(_number(request, "limit", 50), MOST))
        return JSONResponse(
            {
                "requests": [
                    {
                        "id": answered.id,
                        "time": answered.time,
                        "query": answered.query,
                        "output": answered.output,
                        "group": answered.group,
                        "cases": [{"key": Case(**case).key, **case} for case in answered.cases],
                        "reward": None if event is None else event.reward,
                        "answer": None if event is None else event.answer,
                    }
                    for answered, event in latest
                ]
            }
        )

    async def stats(self, request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(self._service(request).describe))

    async def metrics(self, request: Request) -> Response:
        return Response(expose(self._tenants.all()), media_type=CONTENT_TYPE_LATEST)

    async def health(self, request: Request) -> Response:
        failed = [service.learner.failure for service in self._tenants.all().values() if service.learner.failure]
        return JSONResponse({"status": "learning has stopped" if failed else "ok"}, 503 if failed else 200)

    async def front(self, request: Request) -> Response:
        return HTMLResponse(page(), headers={"content-security-policy": CONTENT_SECURITY_POLICY})


class Heard:
    """What a streamed answer says, put together."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._last: dict[str, Any] = {}
        self._usage: Any = None
        self._reason: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the upstream has said why it stopped, and so has not merely been cut off."""
        return self._reason is not None

    def take(self, data: str) -> dict[str, Any] | None:
        """Note a piece and return it parsed; None where it is no object."""
        try:
            piece = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(piece, dict):
            return None
        self._last = piece
        self._usage = piece.get("usage") or self._usage
        for choice in piece.get("choices") or []:
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                self._choice(choice)
        return piece

    def _choice(self, choice: dict[str, Any]) -> None:
        self._reason = choice.get("finish_reason") or self._reason
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if isinstance(delta.get("content"), str):
            self._texts.append(delta["content"])
        for call in delta.get("tool_calls") or []:
            if not isinstance(call, dict):
                continue
            whole = self._calls.setdefault(call.get("index", 0), {"type": "function", "function": {}})
            whole |= {"id": call["id"]} if call.get("id") else {}
            function = call.get("function") if isinstance(call.get("function"), dict) else {}
            for name, text in (function or {}).items():
                whole["function"][name] = whole["function"].get(name, "") + str(text)

    def answer(self) -> dict[str, Any]:
        """The same answer as one that was not streamed."""
        message = {"role": "assistant", "content": "".join(self._texts) or None}
        message |= {"tool_calls": [self._calls[i] for i in sorted(self._calls)]} if self._calls else {}  # type: ignore[dict-item]
        choice = {"index": 0, "message": message, "finish_reason": self._reason}
        return {"model": self._last.get("model"), "choices": [choice], "usage": self._usage}


class Pace:
    """At most `rate` requests a minute for each client: a bucket of that size that fills steadily."""

    CLIENTS = 10_000  # remembered; the one that was away longest is forgotten first

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._left: dict[str, tuple[float, float]] = {}  # client -> (requests left, when that was)

    def allows(self, client: str) -> bool:
        if self._rate is None:
            return True
        now = time.monotonic()
        left, before = self._left.pop(client, (self._rate, now))
        left = min(self._rate, left + (now - before) * self._rate / 60)
        self._left[client] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > self.CLIENTS:
            del self._left[next(iter(self._left))]
        return left >= 1


def as_response(whole: Whole) -> Response:
    return Response(whole.body, whole.status, whole.headers)


def _json_object(whole: Whole) -> dict[str, Any] | None:
    try:
        value = json.loads(whole.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _number(request: Request, name: str, default: int) -> int:
    try:
        value = int(request.query_params.get(name, default))
    except ValueError:
        value = -1
    if not 0 <= value < 2**31:
        raise Refused(400, f"{name} must be a whole number")
    return value


def _case(case: Case, records: dict[str, tuple[int, int, int]]) -> dict[str, Any]:
    shown, fed, right = records.get(case.key, (0, 0, 0))
    return as_dict(case) | {"key": case.key, "shown": shown, "with_feedback": fed, "right": right}
