"""A real HTTP server that speaks the OpenAI chat protocol and misbehaves on purpose. Loopback only.

It reads the green and red levels of the first frame of a request and answers with them, so a caption shows which clip
it belongs to.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from aiohttp import web

_SWAPS = ("swapped", "swapped_body")


@dataclass
class ChatServer:
    """`faults` by name with their share of the requests; each hits a request at most `worst` times.

    A status, or: cut (the connection ends), no_json, other_form, wrong_schema, no_ref (an answer under a schema leaves
    its ref out), swapped (another open request's answer, named after it), swapped_body (the same under its own name;
    only between requests with a schema, as nothing in plain text could tell).
    """

    faults: dict[str, float] = field(default_factory=dict)
    latency_s: tuple[float, float] = (0.0, 0.0)
    worst: int = 3
    echoes: bool = False  # whether answers are named after X-Request-Id, as vLLM does
    model: str = "tiny"
    at: int = 0  # the port; 0 for any that is free
    moved: str = ""  # another server, to which chats are redirected
    schemas: bool = True  # whether it decodes under a JSON schema; it refuses requests for that where not
    says: str = ""  # what every answer says, in place of the levels
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 10})
    seed: int = 0

    def __post_init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.given: Counter[str] = Counter()  # faults
        self.open = self.most_open = 0
        self.bodies: list[dict[str, Any]] = []
        self.waiting: dict[str, dict[str, Any]] = {}  # bodies of open requests by ref
        self.headers: list[dict[str, str]] = []
        self._random = random.Random(self.seed)

    def __enter__(self) -> ChatServer:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Root of the protocol."""
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self, started: threading.Event) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 28)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/empty/models", self._health)
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.at)
        await site.start()
        self.port = runner.addresses[0][1]
        started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": self.model}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await self._answer(request)
        finally:
            self.open -= 1
            self.waiting.pop(request.headers["X-Request-Id"], None)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.moved:
            return web.Response(status=307, headers={"Location": f"{self.moved}/chat/completions"})
        body = await request.json()
        ref = request.headers["X-Request-Id"]
        self.requests[ref] += 1
        self.waiting[ref] = body
        self.headers.append(dict(request.headers))
        self.bodies.append({**body, "messages": _without_pictures(body["messages"])})
        await asyncio.sleep(self._random.uniform(*self.latency_s))
        fault = self._fault() if self.requests[ref] <= self.worst else None
        if fault in _SWAPS:
            swapped = self._swapped(fault, ref, body)
            self.given[fault] += swapped is not None
            return web.json_response(swapped or self._said(body, ref))
        if fault is not None:
            self.given[fault] += 1
            return await self._misbehave(fault, request, body)
        if not self.schemas and "response_format" in body:
            return web.Response(status=400, text="response_format: json_schema is not supported")
        return web.json_response(self._said(body, ref))

    def _fault(self) -> str | None:
        draw, edge = self._random.random(), 0.0
        for name, share in self.faults.items():
            edge += share
            if draw < edge:
                return name
        return None

    def _swapped(self, fault: str, ref: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to another request that is open, if there is one."""
        plain_too = fault == "swapped"
        fit = [other for other, its in self.waiting.items() if plain_too or "response_format" in its]
        others = [other for other in fit if other != ref]
        if not others or not (plain_too or "response_format" in body):
            return None
        other = self._random.choice(others)
        return {**self._said(self.waiting[other], other), "id": f"chatcmpl-{other if plain_too else ref}"}

    async def _misbehave(self, fault: str, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if fault.isdigit():
            again = {"Retry-After": "0.01"} if fault == "429" else {}
            said = f"no: {request.headers.get('Authorization')}"
            return web.Response(status=int(fault), text=said, headers=again)
        if fault == "cut":
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        if fault == "no_json":
            return web.Response(text='{"id": "x", "choices": [', content_type="application/json")
        if fault == "other_form":
            return web.json_response({"id": "x", "choices": []})
        if fault == "no_ref":
            return web.json_response(self._said(body, ""))
        assert fault == "wrong_schema", fault
        return web.json_response(self._chat_of("x", json.dumps({"caption": 3})))

    def _said(self, body: dict[str, Any], ref: str) -> dict[str, Any]:
        said = self.says or "A plain surface of levels {} and {}.".format(*levels(body))
        if "response_format" in body:
            schema = body["response_format"]["json_schema"]["schema"]["properties"]
            answer = {name: [] if kind.get("type") == "array" else "" for name, kind in schema.items()}
            answer |= {"caption": said, "ref": schema["ref"]["const"]}
            if not ref:
                del answer["ref"]
            said = json.dumps(answer)
        return self._chat_of(f"chatcmpl-{ref}" if self.echoes else f"chatcmpl-{self._random.random()}", said)

    def _chat_of(self, name: str, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": name, "choices": [choice], "usage": self.usage}


def levels(body: dict[str, Any]) -> tuple[int, int]:
    """The mean green and red levels of the first picture of a request."""
    url = next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url")
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    green, red = picture[..., 1:].mean(axis=(0, 1))
    return round(float(green)), round(float(red))


def _without_pictures(messages: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for message in messages for part in message["content"] if part["type"] == "text"]


def main() -> None:
    """A server in a process of its own: options as JSON, its URL on the first line; it ends with its standard input."""
    with ChatServer(**json.loads(sys.argv[1])) as server:
        print(server.url, flush=True)
        sys.stdin.read()
        said = {"requests": sorted(server.requests.values()), "given": server.given, "most_open": server.most_open}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
