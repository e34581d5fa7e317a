"""Requests to a chat server: bounded in flight, tried again with back-off, joined by the id that each carries.

A request carries its ref as `X-Request-Id`. A server that names its answers after it (vLLM does) is held to it: an
answer that names another request of ours is refused and asked for again. Beside it, an answer under a schema repeats
its ref in its text (captioner/answers.py). Without a schema nothing but the connection and that id ties an answer.

What is tried again: 408, 409, 425, 429, every 5xx, time-outs, cut connections, answers that are none. 400, 413 and 422
speak of one request, so of one clip. Any other status speaks of the address, the account or the model: the run ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captioner.answers import storable
from curate.captioning import Alive, Answer
from curate.errors import InputRejected, SpecError, StageCrashed

if TYPE_CHECKING:
    import aiohttp

Body = Callable[[], bytes]
_AGAIN = frozenset({408, 409, 425, 429})  # and every 5xx
_OF_THE_CLIP = frozenset({400, 413, 422})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LONGEST_BODY = 8 << 20  # bytes of an answer: a caption has a few thousand
_MOST_TOKENS = 10**9  # of one answer that a server may claim
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
        self._key = headers.get("Authorization", "").removeprefix("Bearer ")
        self._knows_schemas = False
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
                said = await self._guided(ref, data)
                return _read(ref, said, number, time.monotonic() - begun)
            except _Again as error:
                what = self._masked(str(error))
                pause = min(_FIRST_PAUSE_S * 2 ** (number - 1), _LONGEST_PAUSE_S) * draw.uniform(0.5, 1.0)
                if number < self._limits.tries:
                    await asyncio.sleep(max(pause, min(error.after_s, _LONGEST_PAUSE_S)))
            except _Refused as error:
                return Answer(ref, requests=number, fault=(error.reason, self._masked(str(error))))
        return Answer(ref, requests=self._limits.tries, lost=f"{self._url}: {what} ({self._limits.tries} tries)")

    async def _guided(self, ref: str, data: bytes) -> dict[str, Any]:
        """Post a request. Where it is refused and no schema was ever taken, see whether the schema is what is refused.

        Nothing goes on without it in silence: captions that were not decoded under a schema are others.
        """
        guided = b'"response_format"' in data
        try:
            said = await self._post(ref, data)
        except _Refused as error:
            if guided and not self._knows_schemas and error.reason != "caption:http_413":
                bare = {name: value for name, value in json.loads(data).items() if name != "response_format"}
                await self._post(ref, json.dumps(bare).encode())
                raise StageCrashed(
                    "caption:guided", f"{self._url} answers, but not under a JSON schema: set `guided: false` ({error})"
                ) from error
            raise
        self._knows_schemas |= guided
        return said

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
                if response.status in _AGAIN or response.status >= 500:
                    raise _Again(f"HTTP {response.status}", _seconds(response.headers.get("Retry-After")))
                if response.status in _OF_THE_CLIP:
                    raise _Refused(f"caption:http_{response.status}", self._masked(text)[:500])
                if response.status != 200:
                    said = f"{self._url}/chat/completions answers HTTP {response.status}; see `url` and `model`"
                    raise StageCrashed(f"caption:http_{response.status}", f"{said}: {self._masked(text)[:500]}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _Again(f"{type(error).__name__} {error}".strip()) from error
        try:
            said = json.loads(text)
            named = str(said["id"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _Again(f"an answer that is none: {self._masked(text)[:100]!r}") from error
        other = next(
            (other for other in (named, named.rpartition("-")[2]) if other in self._refs and other != ref), None
        )
        if other is not None:
            raise _Again(f"the answer to another request ({other[:8]})")
        return said

    def _masked(self, text: str) -> str:
        """A text of a server without the key, which some repeat when they refuse it."""
        return text.replace(self._key, "***") if self._key else text


class _Refused(Exception):
    """The server will not answer this request, however often it is asked."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.reason = reason


def _read(ref: str, said: dict[str, Any], number: int, seconds: float) -> Answer:
    try:
        choice = said["choices"][0]
        text = choice["message"]["content"]
        usage = said.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        tokens = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        finish = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _Again(f"an answer of another form ({error!r})") from error
    if finish == "content_filter" or (text is None and choice["message"].get("refusal")):
        why = str(choice["message"].get("refusal") or "stopped by the server's filter")
        raise _Refused("caption:refusal", storable(why)[:500])
    if not isinstance(text, str):
        raise _Again("an answer without text")
    return Answer(ref, storable(text), finish == "length", *tokens, requests=number, seconds=seconds)


def _count(said: object) -> int:
    """Tokens as a server counts them; 0, not known, where that is no number that can be."""
    return said if type(said) is int and 0 <= said <= _MOST_TOKENS else 0


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
    """Names of the models that a server lists at /models; None where it is too busy to say.

    Raises:
        SpecError: nobody answers there, the key is wrong, or what answers lists no models: it is no such server.
    """
    import aiohttp

    async with session(headers, Limits(1, min(limits.timeout_s, 30.0), 1)) as client:
        try:
            async with client.get(f"{url}/models", allow_redirects=False) as response:
                if response.status in (401, 403):
                    raise SpecError(f"caption: {url} refuses the key (HTTP {response.status}); see `key_env`")
                if response.status in _AGAIN or response.status >= 500:
                    return None
                if response.status != 200:
                    raise SpecError(f"caption: {url}/models answers HTTP {response.status}; `url` ends in /v1, mostly")
                said = json.loads(await _body_of(response))
                return [str(model["id"]) for model in said["data"]]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SpecError(f"caption: nobody answers at {url} ({type(error).__name__} {error})") from error
        except (ValueError, TypeError, KeyError, RecursionError, _Again) as error:
            raise SpecError(f"caption: what answers at {url}/models lists no models; see `url`") from error
