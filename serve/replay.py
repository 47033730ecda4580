"""Play a finished run's stream through an endpoint: each query as a request, the run's own answers as the upstream's,
its rewards as feedback at once. The endpoint must choose the cases that the run chose."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import httpx2
from tqdm import tqdm

from config import Config
from env import find_env, templates_of
from errors import UsageError, UserError
from llm import make_llm
from main import make_load_encoder
from runs.folder import RunLog
from runs.reader import open_folder
from runs.screen import say

from .app import Limits, make_app
from .learner import check_serves
from .service import Service, Way
from .tenants import Tenants
from .upstream import Whole


class Recorded:
    """An upstream that says what was answered before."""

    def __init__(self) -> None:
        self.output = ""

    async def ask(self, body: dict[str, Any]) -> Whole:
        message = {"role": "assistant", "content": self.output}
        answer = {"id": "", "object": "chat.completion", "created": 0, "model": "recorded"}
        answer |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return Whole(200, json.dumps(answer).encode(), {"content-type": "application/json"})

    @asynccontextmanager
    async def stream(self, body: dict[str, Any]) -> AsyncIterator[Whole]:
        yield await self.ask(body)

    async def models(self) -> Whole:
        return Whole(200, b'{"object": "list", "data": []}')

    async def close(self) -> None:
        """Nothing is open."""


def replay(folder: Path) -> int:
    """Compare the cases of every step; 0 where all are the same, else 1. Raises UserError for what is no run."""
    source = open_folder(folder)
    if source is None:
        raise UserError(f"{folder}: no run here; a run folder, as main.py writes it, holds config.yaml and steps.jsonl")
    known = {spec.name for spec in fields(Config)}
    options = {name: value for name, value in source.options.items() if name in known}
    with tempfile.TemporaryDirectory() as place:
        config = Config(**options | {"output_dir": place, "overwrite": False, "checkpoint_seconds": 1e9})
        check_serves(config)
        steps, differing = asyncio.run(_play(config, list(source.records()), Path(place)))
    say(f"{steps} steps, {len(differing)} with other cases than the run" + (f": {differing[:10]}" if differing else ""))
    return int(bool(differing))


async def _play(config: Config, records: list[dict[str, Any]], place: Path) -> tuple[int, list[int]]:
    env = find_env(config.env)()
    env.name = env.name or config.env
    if any(record.get("skipped") for record in records):
        raise UsageError("a run with skipped steps cannot be replayed: an endpoint has an answer for each")
    load_encoder = make_load_encoder(config)
    log = RunLog(place / "endpoint", config.identity(), False, config.checkpoint_seconds)
    log.begin({"options": asdict(config), "prompts": templates_of(env)}, {})
    service = Service(config, env, make_llm(config, load_encoder), load_encoder, log, Way(waits=True))
    upstream, differing = Recorded(), []
    tenants = Tenants(lambda name: service)
    transport = httpx2.ASGITransport(make_app(tenants, upstream, Limits()))
    tenants.get("")
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://endpoint") as client:
            for record in tqdm(records, desc="replay", unit="step"):
                upstream.output = record["output"]
                messages = [{"role": "user", "content": record["task"]}]
                answer = (
                    (await client.post("/v1/chat/completions", json={"messages": messages})).raise_for_status().json()
                )
                answered = service.ledger.get(answer["id"])
                assert answered is not None
                if answered.sent_keys != [case["key"] for case in record["cases"]]:
                    differing.append(record["step"])
                feedback = {"id": answer["id"], "reward": record["reward"]}
                (await client.post("/v1/feedback", json=feedback)).raise_for_status()
    finally:
        tenants.close()
    return len(records), differing
