"""Captions from any server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, or a service.

    caption: {with: server, url: "http://127.0.0.1:8000/v1", model: Qwen/Qwen2.5-VL-7B-Instruct}

A server that is not on loopback needs `allow_remote: true`, and then only screened clips leave the host. The key comes
from the environment variable that `key_env` names, never from the spec. How requests are made and tried again is in
captioner/_requests.py.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

from captioner._requests import Limits, answers, models
from captioner.answers import instruction, schema_of
from captioner.prompting import load_prompts
from captioner.serving import served
from curate.captioning import BOX, Alive, Answer, Ask, Prompt
from curate.errors import SpecError

_ROUNDS = 8  # clips that are handed over at once, as a multiple of those in flight: the slowest few wait for nobody


class Server:
    """Asks a server; `in_flight`, `timeout_s` and `tries` are scheduling and never part of a key.

    url: of the protocol's root, ending in /v1; left out where `engine.resources.caption.serve` starts the server.
    guided: whether the server decodes under a JSON schema. tries: requests for one answer, the first included.
    temperature 0 is greedy.
    """

    name: ClassVar[str] = "server"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = BOX
    reads_frames: ClassVar[bool] = True

    def __init__(
        self, model: str, url: str | None = None, prompts: Mapping[str, str] | None = None, max_tokens: int = 512,
        temperature: float = 0.0, seed: int = 0, guided: bool = True, in_flight: int = 64, timeout_s: float = 120.0,
        tries: int = 6, key_env: str | None = None, allow_remote: bool = False,
    ) -> None:  # fmt: skip
        self.model, self.url, self.guided = model, url.rstrip("/") if url else None, guided
        self.decoding = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        self.prompts: Mapping[str, Prompt] = {
            kind: _tied(prompt) if guided else prompt for kind, prompt in load_prompts(prompts).items()
        }
        if url is not None:
            _check(url)
        if in_flight < 1 or tries < 1 or timeout_s <= 0:
            raise ValueError("in_flight, tries and timeout_s must be above 0")
        self.batch_rows = _ROUNDS * in_flight
        self.limits = Limits(in_flight, timeout_s, tries)
        self._key_env = key_env
        if key_env is not None and not os.environ.get(key_env):
            raise ValueError(f"key_env: the environment variable {key_env} is not set")
        self.leaves_the_host = url is not None and not _is_loopback(url)
        if self.leaves_the_host and not allow_remote:
            raise ValueError(f"{url} is not on this host: clips leave it only with `allow_remote: true`")

    def identity(self) -> Mapping[str, Any]:
        """The model and how it decodes; the same model served elsewhere gives the same captions."""
        return {"model": self.model, "guided": self.guided, **self.decoding}

    def about(self, kind: str) -> tuple[str, str]:
        """The model, and what there is to say of its weights: nothing that a server could prove."""
        return self.model, "as served"

    def ready(self) -> None:
        """Ask the server which models it has. SpecError where it cannot be asked, or has not this one."""
        if self.url is None:
            return
        known = asyncio.run(models(self.url, self._headers(), self.limits))
        if known is not None and self.model not in known:
            raise SpecError(f"caption: {self.url} serves {', '.join(known) or 'nothing'}, not {self.model!r}")

    def describe(self, asks: Sequence[Ask], alive: Alive) -> Iterator[Answer]:
        """Answers as they come in, in any order."""
        url = self.url or served(self.model, alive)
        yield from answers(
            url, self._headers(), [(ask.ref, partial(self._body, ask)) for ask in asks], self.limits, alive
        )

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self._key_env) if self._key_env else None
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _body(self, ask: Ask) -> bytes:
        """A chat request: the frames within the bars as JPEG, each with its time, then the prompt."""
        from captioner.frames import data_urls

        assert ask.pictures is not None
        content: list[dict[str, Any]] = []
        for time_s, url in zip(ask.pictures.times_s, data_urls(ask.pictures), strict=True):
            content += [{"type": "text", "text": f"{time_s:.1f} s"}, {"type": "image_url", "image_url": {"url": url}}]
        said = "\n".join(filter(None, (ask.text, instruction(ask.prompt))))
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": [*content, {"type": "text", "text": said}]}],
            **self.decoding,
        }
        if ask.prompt.tied:
            schema = {"name": "caption", "strict": True, "schema": schema_of(ask.prompt, ask.ref)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return json.dumps(body).encode()


def _tied(prompt: Prompt) -> Prompt:
    """The prompt with a schema that ties answers to questions; one in plain text has none, and the id alone ties it."""
    again = prompt.again and _tied(prompt.again)
    return replace(prompt, tied=bool(prompt.fields), again=again)


def _check(url: str) -> None:
    """ValueError, which repeats nothing of it, for a URL that is none or carries what belongs into `key_env`."""
    said = urlsplit(url)
    if said.scheme not in ("http", "https") or not said.hostname:
        raise ValueError("url: http:// or https://, a host, and the protocol's root")
    if "@" in said.netloc or said.query or said.fragment:
        raise ValueError("url: no user, password or `?...`: it is written down; name the key's variable in `key_env`")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: where it leads is for others to say
        return False
