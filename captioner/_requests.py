"""Requests to a chat server: bounded in flight, tried again with back-off, joined by the id that each carries.

A request carries its ref as `X-Request-Id`. A server that names its answers after it (vLLM does) is held to it: an
answer that names another request of ours is refused and asked for again.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.captioning import Alive, Answer
from curate.errors import InputRejected, SpecError, StageCrashed

if TYPE_CHECKING:
    import aiohttp

Body = Callable[[], bytes]
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LONGEST_BODY = 8 << 20  # bytes of an answer: a caption has a few thousand
_ALIVE_EVERY_S = 1.0


@dataclass(frozen=True)
class Limits:
    """How many requests are open at once, how long one may take, and how often one is made."""

    in_flight: int
    timeout_s: float
    tries: int


class _Again(Exception):
    """Worth another try; `after_s` is what the server asked for."""

    def __init__(self, what: str, after_s: float = 0.0) -> None:
        super().__init__(what)
        self.after_s = after_s


def answers(
    url: str, headers: Mapping[str, str], bodies: Sequence[tuple[str, Body]], limits: Limits, alive: Alive
) -> Iterator[Answer]:
    """An answer for every (ref, body), as they come in."""
    with asyncio.Runner() as runner:
        loop = _Loop(url, headers, bodies, limits)
        runner.run(loop.start())
        try:
            for _ in bodies:
                yield runner.run(loop.next(alive))
        finally:
            runner.run(loop.stop())


class _Loop:
    """The requests of one batch. Nothing moves between two answers but the network: the loop runs while we wait."""

    def __init__(
        self, url: str, headers: Mapping[str, str], bodies: Sequence[tuple[str, Body]], limits: Limits
    ) -> None:
        self._url, self._headers, self._limits = url, headers, limits
        self._bodies = iter(bodies)
        self._refs = {ref for ref, _ in bodies}
        self._done: asyncio.Queue[Answer] = asyncio.Queue()

    async def start(self) -> None:
        self._session = session(self._headers, self._limits)
        self._workers = [asyncio.create_task(self._work()) for _ in range(min(self._limits.in_flight, len(self._refs)))]

    async def next(self, alive: Alive) -> Answer:
        """The next answer. `alive` is told before each, too: a slow server that answers steadily is no stalled one."""
        while True:
            alive()
            for worker in self._workers:
                if worker.done():
                    worker.result()  # raises what is a fault of ours, not of a request
            try:
                return await asyncio.wait_for(self._done.get(), _ALIVE_EVERY_S)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._session.close()

    async def _work(self) -> None:
        for ref, body in self._bodies:  # one iterator for all workers: each takes the next
            self._done.put_nowait(await self._answer(ref, body))

    async def _answer(self, ref: str, body: Body) -> Answer:
        draw = random.Random(ref)  # the same pauses for the same request, and not the same for all
        try:
            data = await asyncio.to_thread(body)  # frames are prepared while other requests are under way
        except InputRejected as error:
            return Answer(ref, fault=(error.reason, error.detail))
        begun = time.monotonic()
        for number in range(1, self._limits.tries + 1):
            try:
                said = await self._post(ref, data)
                return _read(ref, said, number, time.monotonic() - begun)
            except _Again as error:
                what = str(error)
                pause = min(_FIRST_PAUSE_S * 2 ** (number - 1), _LONGEST_PAUSE_S) * draw.uniform(0.5, 1.0)
                if number < self._limits.tries:
                    await asyncio.sleep(max(pause, min(error.after_s, _LONGEST_PAUSE_S)))
            except _Refused as error:
                return Answer(ref, requests=number, fault=(error.reason, str(error)))
        return Answer(ref, requests=self._limits.tries, lost=f"{self._url}: {what} ({self._limits.tries} tries)")

    async def _post(self, ref: str, data: bytes) -> dict[str, Any]:
        import aiohttp

        headers = {"Content-Type": "application/json", "X-Request-Id": ref}
        try:
            async with self._session.post(
                f"{self._url}/chat/completions", data=data, headers=headers, allow_redirects=False
            ) as response:
                text = await _body_of(response)
                if response.status in (401, 403):
                    raise StageCrashed("caption:key", f"{self._url} refuses the key (HTTP {response.status})")
                if response.status in _AGAIN:
                    raise _Again(f"HTTP {response.status}", _seconds(response.headers.get("Retry-After")))
                if response.status != 200:
                    raise _Refused(f"caption:http_{response.status}", text[:500])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _Again(f"{type(error).__name__} {error}".strip()) from error
        try:
            said = json.loads(text)
            named = str(said["id"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _Again(f"an answer that is none: {text[:100]!r}") from error
        other = next(
            (other for other in (named, named.rpartition("-")[2]) if other in self._refs and other != ref), None
        )
        if other is not None:
            raise _Again(f"the answer to another request ({other[:8]})")
        return said


class _Refused(Exception):
    """The server will not answer this request, however often it is asked."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.reason = reason


def _read(ref: str, said: dict[str, Any], number: int, seconds: float) -> Answer:
    try:
        choice = said["choices"][0]
        text = choice["message"]["content"]
        usage = said.get("usage") or {}
        tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        finish = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _Again(f"an answer of another form ({error!r})") from error
    if finish == "content_filter" or (text is None and choice["message"].get("refusal")):
        raise _Refused("caption:refusal", str(choice["message"].get("refusal") or "stopped by the server's filter"))
    if not isinstance(text, str):
        raise _Again("an answer without text")
    return Answer(ref, text, finish == "length", *tokens, requests=number, seconds=seconds)


async def _body_of(response: aiohttp.ClientResponse) -> str:
    data = await response.content.read(_LONGEST_BODY + 1)
    while len(data) <= _LONGEST_BODY and (more := await response.content.read(_LONGEST_BODY + 1 - len(data))):
        data += more
    if len(data) > _LONGEST_BODY:
        raise _Again(f"an answer of more than {_LONGEST_BODY} bytes")
    return data.decode("utf-8", "replace")


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:  # a date: our own pause will do
        return 0.0


def session(headers: Mapping[str, str], limits: Limits) -> aiohttp.ClientSession:
    """Connections for so many requests. Proxies of the environment are not used: clips go where the spec says."""
    import aiohttp

    return aiohttp.ClientSession(
        headers=dict(headers), timeout=aiohttp.ClientTimeout(total=limits.timeout_s),
        connector=aiohttp.TCPConnector(limit=limits.in_flight), trust_env=False,
    )  # fmt: skip


async def models(url: str, headers: Mapping[str, str], limits: Limits) -> list[str] | None:
    """Names of the models that a server has; None where it does not say.

    Raises:
        SpecError: nobody answers there, or the key is wrong.
    """
    import aiohttp

    async with session(headers, Limits(1, min(limits.timeout_s, 30.0), 1)) as client:
        try:
            async with client.get(f"{url}/models", allow_redirects=False) as response:
                if response.status in (401, 403):
                    raise SpecError(f"caption: {url} refuses the key (HTTP {response.status}); see `key_env`")
                if response.status != 200:
                    return None
                said = json.loads(await _body_of(response))
                return [str(model["id"]) for model in said["data"]]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SpecError(f"caption: nobody answers at {url} ({type(error).__name__} {error})") from error
        except (ValueError, TypeError, KeyError, _Again):
            return None
