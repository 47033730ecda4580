"""The command line of the endpoint: what is its own, and main.py's options for task, agent, policy and LLM."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn

from command_line import add_options, read_command_line
from config import Config
from env import Env, find_env, templates_of
from errors import DataError, UsageError, UserError
from llm import make_llm
from main import LoadEncoder, make_load_encoder
from memory.store import Store
from runs.folder import RunLog
from runs.screen import say
from step import Case

from . import chat
from .app import LOOPBACK, Limits, make_app
from .chat import Chat, read_template
from .learner import check_serves
from .ledger import LEDGER
from .messages import check_template
from .protocol import BoundedProtocol
from .replay import replay
from .service import Service, Way, tenant_folder
from .tenants import Tenants
from .upstream import HttpUpstream, LocalUpstream, Upstream

DESCRIPTION = """Serve an agent that learns behind the OpenAI protocol.

    python scripts/serve.py --env banking77
    python scripts/serve.py --env banking77 --serving_mode vllm --server http://127.0.0.1:8000/v1 --llm qwen3-8b
    python scripts/serve.py --template cases.yaml --serving_mode openai --llm gpt-4o-mini --holdout 0.1

All options of main.py for the task, the agent, its policy and the LLM apply; --port is the endpoint's own."""
KEY_VARIABLE = "ENDPOINT_API_KEY"
FOLDER = "endpoint"  # below --output_dir
BACKLOG = 2048  # connections that wait to be taken
CHAT = f"{chat.__file__}:Chat"
NO_ROWS = {"path": None, "origin": "user", "sha256": hashlib.sha256(b"requests").hexdigest(), "rows": None}


def main(argv: list[str]) -> int:
    """Serve until interrupted; returns the exit code. Raises UserError."""
    own, rest = parse(argv)
    if own.replay is not None:
        return replay(own.replay)
    config = config_of(own, rest)
    env = make_task(config, own.template)
    load_encoder = make_load_encoder(config)
    llm = make_llm(config, load_encoder)
    upstream = make_upstream(config, llm)
    way = Way(own.explore, own.holdout, own.query_template, own.learn_first)

    def make_service(tenant: str) -> Service:
        log = open_log(config, env, way, tenant)
        log.begin(
            {"options": asdict(config), "data": NO_ROWS, "prompts": templates_of(env)},
            {"llm": llm.details(), "task": {}, "device": config.device},
        )
        store = open_store(own.bank, load_encoder) if own.bank else None
        return Service(config, env, llm, load_encoder, log, way, store)

    tenants = Tenants(make_service, own.max_tenants)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when it has stopped
    try:
        if own.tenant_header is None:
            tenants.get("")  # what cannot be made is told now, not with the first request
        serve(make_app(tenants, upstream, limits_of(own)), own, config)
    finally:
        tenants.close()
    return 0


# -- the parts ---------------------------------------------------------------------------------------------------------


def make_task(config: Config, template: Path | None) -> Env:
    """The task of `config`, without rows: what it needs of them comes with the requests.

    Raises UsageError for one whose prompts or answers depend on more than the query.
    """
    env_class = find_env(config.env)
    env = env_class()
    env.name = env.name or config.env
    if isinstance(env, Chat) and template is not None:
        env.use(read_template(template))
    reason = "it is played turn by turn" if not env.single_turn or env_class.interact is not Env.interact else ""
    if not reason:
        try:
            text = env.format_answer(env.extraction("") or "")
            case = Case("a query", text).view()
            env.get_zero_shot_prompt("a query"), env.get_case_based_prompt("a query", [case])
        except (DataError, LookupError, TypeError, AttributeError, ValueError) as error:
            reason = f"its prompts need more than the query ({type(error).__name__}: {error})"
    if reason:
        raise UsageError(f"--env {config.env} cannot be served: {reason}. Without --env any chat can be")
    return env


def make_upstream(config: Config, llm: Any) -> Upstream:
    """Who answers: the server that `config` names, or the LLM of this process."""
    address = getattr(llm.client, "address", None)
    if address is None:
        return LocalUpstream(llm, str(config.llm))
    return HttpUpstream(address, llm.client.key, config.timeout)


def open_log(config: Config, env: Env, way: Way, tenant: str) -> RunLog:
    """The run folder of a tenant's bank."""
    served = {"explore": way.explore, "holdout": way.holdout, "query_template": way.query_template}
    identity = config.identity() | {"served": served, "data_sha256": NO_ROWS["sha256"]}
    folder = Path(config.output_dir) / FOLDER / config.run_name()
    if tenant:
        folder = folder / "tenants" / tenant_folder(tenant)
    log = RunLog(folder, identity, config.overwrite, config.checkpoint_seconds, say)
    if config.overwrite:
        for path in folder.glob(f"{LEDGER}*"):
            path.unlink()
    return log


def open_store(path: Path, load_encoder: LoadEncoder) -> Store:
    """The bank on disk, made where there is none. Raises UserError, UsageError for one of another encoder."""
    return Store.open(path, load_encoder().identity, write=True, create=True)


def limits_of(own: argparse.Namespace) -> Limits:
    loopback = own.host in LOOPBACK
    hosts = (*LOOPBACK, "[::1]") if loopback and own.api_key is None else ("*",)
    return Limits(own.api_key, own.tenant_header, own.max_body, own.max_prompt, own.rate, hosts)


def serve(app: Any, own: argparse.Namespace, config: Config) -> None:
    """Answer requests until a signal says to stop; what was acknowledged is learned and saved before this returns."""
    listening = socket.socket(socket.AF_INET6 if ":" in own.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((own.host, own.port))
        listening.listen(BACKLOG)  # who reads the address may use it at once
    except OSError as error:
        raise UserError(f"--host {own.host} --port {own.port}: {error.strerror}") from None
    host = f"[{own.host}]" if ":" in own.host else own.host
    print(f"http://{host}:{listening.getsockname()[1]}", flush=True)
    settings = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(settings).run(sockets=[listening])


# -- the options -------------------------------------------------------------------------------------------------------


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The endpoint's own options, and the rest of the command line. Raises UsageError."""
    parser = own_parser()
    if "--help" in argv or "-h" in argv:
        add_options(parser)
    own, rest = parser.parse_known_args(argv)
    _check(own)
    return own, rest


def config_of(own: argparse.Namespace, rest: list[str]) -> Config:
    """main.py's options, as far as they apply to an endpoint. Raises UsageError."""
    _, options = read_command_line(rest)
    if "env" not in options:
        options["env"] = CHAT
    elif own.template is not None:
        raise UsageError("--template says how cases are shown, as --env does: drop one of them")
    config = Config(**options)
    check_serves(config)
    if config.seed < 0:
        raise UsageError("--seed -1 makes five runs: an endpoint is one")
    for row in config.rows:
        row.check()
    return config


def own_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "serve.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        conflict_handler="resolve",
    )
    group = parser.add_argument_group("the endpoint")
    add = group.add_argument
    add(
        "--bank",
        type=Path,
        metavar="FILE",
        help="a bank on disk: start from its cases, keep the new ones",
    )
    add("--host", default="127.0.0.1", help="(default: %(default)s, this machine alone)")
    add("--port", type=int, default=8080, help="0 takes a free one (default: %(default)s)")
    add("--template", type=Path, metavar="FILE", help="YAML that says how cases go into a message, in place of --env")
    add(
        "--query_template",
        metavar="TEXT",
        help="the query, of $query, $system, $first, $conversation (default: $query)",
    )
    add(
        "--explore",
        choices=("on", "off", "shadow"),
        default="on",
        help="off: no exploration bonus; shadow: choose and learn, but send the plain prompt (default: %(default)s)",
    )
    add(
        "--holdout",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="the share of requests answered without cases, to measure what they are worth (default: %(default)s)",
    )
    add("--learn_first", action="store_true", help="answer feedback when it has been learned, not when it is on disk")
    add(
        "--api_key",
        default=os.environ.get(KEY_VARIABLE),
        metavar="KEY",
        help=f"what clients have to send (default: {KEY_VARIABLE}, if it is set)",
    )
    add("--tenant_header", metavar="NAME", help="keep a bank of its own for each value of this header")
    add("--max_tenants", type=int, default=100, metavar="N", help="(default: %(default)s)")
    add("--max_body", type=int, default=4 * 2**20, metavar="BYTES", help="of one request (default: %(default)s)")
    add(
        "--max_prompt",
        type=int,
        default=400_000,
        metavar="CHARACTERS",
        help="of one request's messages (default: %(default)s)",
    )
    add("--rate", type=float, metavar="N", help="requests a minute from one address (default: any number)")
    add("--replay", type=Path, metavar="RUN", help="play a finished run through an endpoint and compare the cases")
    return parser


def _check(own: argparse.Namespace) -> None:
    if not 0 <= own.port < 65536:
        raise UsageError(f"--port must be 0 to 65535, not {own.port}")
    if not 0 <= own.holdout < 1:
        raise UsageError(f"--holdout is a share, at least 0 and below 1, not {own.holdout}")
    for name in ("max_body", "max_prompt", "max_tenants"):
        if getattr(own, name) < 1:
            raise UsageError(f"--{name} must be at least 1, not {getattr(own, name)}")
    if own.rate is not None and own.rate < 1:
        raise UsageError(f"--rate must be at least 1, not {own.rate}")
    if own.api_key is not None and not own.api_key.strip():
        raise UsageError("--api_key is empty")
    if own.host not in LOOPBACK and own.api_key is None:
        raise UsageError(
            f"--host {own.host} is open to other machines: give clients a key with --api_key or {KEY_VARIABLE}"
        )
    if own.bank is not None and own.tenant_header is not None:
        raise UsageError("--bank is one bank: with --tenant_header each tenant has one of its own, in its folder")
    if own.query_template is not None:
        check_template(own.query_template)
