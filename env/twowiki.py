"""Deep search (2WikiMultihopQA): a question that needs several facts, looked up with tools.

The model calls tools through the chat interface; an MCP server carries the calls out. A step has five turns with tools:
a call takes one, and so does a reply with neither text nor a call. Then the model must answer. What the model does
wrong it is told; only a service that does not answer stops the run.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import UsageError, UserError, printable

from .base import Ask, twin_of
from .families.judged import JudgedEnv
from .parsing import last_boxed
from .prompts import twowiki_prompt
from .tools.search.client import OwnService, health
from .tools.search.mcp_client import MCPToolServer, ToolResult

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

ROOT = Path(__file__).resolve().parent.parent
MAX_CALLS = 5
MAX_ARGUMENTS = 4000  # characters
CORPUS = "corpus.jsonl"  # beside the rows
HOW_TO_SERVE = "start one with `python scripts/serve_retrieval.py --corpus FILE`"
WEB_VARIABLES = ("SERPER_API_KEY", "SERPER_URL", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE")


class TwoWiki(JudgedEnv):
    name = "2wiki"
    single_turn = False
    fields = {"task": str, "label": list}
    prompts = twowiki_prompt
    packages = ("mcp", "bm25s", "faiss-cpu")

    def __init__(self) -> None:
        super().__init__()
        self._service: OwnService | None = None
        self._tools: MCPToolServer | None = None
        self._retrieval: dict[str, Any] = {}  # what the retrieval service says of itself

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        if config.web_search and not os.environ.get("SERPER_API_KEY"):
            raise UsageError("--web_search needs a key of https://serper.dev in the variable SERPER_API_KEY")
        super().prepare(config, make_llm)

    def details(self) -> dict[str, Any]:
        """Who scores and what is searched; a service or judge that does not answer stops the run here already."""
        scoring = "equal to a label after normalisation (no --judge_llm)"
        if self.judge is not None:
            scoring = f"judged by {self.judge_name}"
        tools = self.tools.names
        return {"scoring": scoring, "tools": tools, "retrieval": describe(self._retrieval)}

    def another(self) -> TwoWiki:
        """The same questions, judge and tools: the tool server takes calls of several steps at once."""
        assert self.tools is not None  # started here, for all
        return twin_of(self)

    def close(self) -> None:
        for started in (self._tools, self._service):
            if started is not None:
                started.close()
        self._tools = self._service = None

    def check_row(self, row: dict[str, Any]) -> str | None:
        labels = row["label"]
        if not labels or not all(isinstance(label, str) and label.strip() for label in labels):
            return f"the label {labels!r} is not a list of accepted answers"
        return None

    # -- the dialogue ----------------------------------------------------------------------------------------------

    def interact(self, prompt: str, ask: Ask) -> str:
        """Let the model call tools until it answers; returns its answer's text, which may be empty.

        Raises UserError where a tool's service does not answer, LLMError where the LLM does not.
        """
        self.turns = []
        messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        left = MAX_CALLS
        while left > 0:
            reply = ask.chat(messages, self.tools.tools)
            if reply.tool_calls:
                messages += self._carry_out(reply.text, reply.tool_calls, left)
                left -= len(reply.tool_calls)
            elif reply.text.strip():
                return self._finish(reply.text)
            else:
                self.turns.append({"reply": ""})
                messages.append({"role": "user", "content": twowiki_prompt.GO_ON})
                left -= 1
        messages.append({"role": "user", "content": twowiki_prompt.ANSWER_NOW})
        return self._finish(ask.chat(messages).text)

    def _finish(self, text: str) -> str:
        self.turns.append({"reply": text})
        return text

    def _carry_out(self, text: str, calls: list[dict[str, Any]], left: int) -> list[dict[str, Any]]:
        """Make the first `left` of the calls; returns the messages that tell the model of all of them.

        The calls are written anew for the model: servers refuse a conversation with one that is malformed.
        """
        made, results = [], []
        for number, call in enumerate(calls):
            name, arguments, problem = read_call(call, self.tools.names)
            if number >= left:
                result = ToolResult(f"not made: {MAX_CALLS} tool calls are all there are", False)
            elif problem:
                result = ToolResult(f"not made: {problem}", False)
            else:
                result = self.tools.call(name, arguments)
            self.turns.append({"tool": name, "arguments": arguments, "result": result.text, "ok": result.ok})
            call_id = f"call_{len(self.turns)}"
            function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
            made.append({"id": call_id, "type": "function", "function": function})
            results.append({"role": "tool", "tool_call_id": call_id, "content": result.text})
        return [{"role": "assistant", "content": text, "tool_calls": made}, *results]

    @property
    def tools(self) -> MCPToolServer:
        """The tool server, started when first used, with a retrieval service where none is named."""
        if self._tools is None:
            command = [sys.executable, "-m", "env.tools.search.tools", "--retrieval_url", self._find_service()]
            environment = {}
            if self._config and self._config.web_search:
                command.append("--web_search")
                environment = {name: os.environ[name] for name in WEB_VARIABLES if name in os.environ}
            self._tools = MCPToolServer(command, ROOT, environment)
        return self._tools

    def _find_service(self) -> str:
        """The address of the retrieval service to use; sets what it says of itself.

        That is the one that --retrieval_url names. Without it the run starts its own on the corpus beside the rows:
        whatever happens to listen on some port of the machine has no say in what a run finds.
        """
        named = self._config and self._config.retrieval_url
        if named:
            url = named.rstrip("/").removesuffix("/retrieve")
            self._retrieval = health(url) or {}
            if not self._retrieval:
                raise UserError(f"--retrieval_url {named}: no retrieval service answers there; {HOW_TO_SERVE}")
            return url
        corpus = self.data_file.folder / CORPUS
        if not corpus.is_file():
            raise UserError(f"there is no {corpus} to search: {HOW_TO_SERVE}, and name it with --retrieval_url URL")
        self._service = OwnService(corpus, self._config.retrieval_method if self._config else "bm25")
        self._retrieval = self._service.info
        return self._service.url

    # -- scoring and cases -----------------------------------------------------------------------------------------

    def extraction(self, text: str) -> str | None:
        """What the last \\boxed{} holds; without one, the whole text."""
        return last_boxed(text) or text.strip() or None

    def reward_function(self, answer: str) -> int:
        """Raises LLMError where the judge gives no verdict."""
        if self.judge is None:
            return int(normalise(answer) in {normalise(label) for label in self.row["label"]})
        return int(self.judged_right(self.row["task"], self.row["label"], answer))

    def case_key(self, query: str) -> str | None:
        """The question and the tool calls that led to the answer; None for a run that used no tool."""
        calls = [turn for turn in self.turns or [] if turn.get("ok")]
        if not calls:
            return None
        written = [f"{call['tool']}({json.dumps(call['arguments'], ensure_ascii=False)})" for call in calls]
        lines = [f"{number}. {call}" for number, call in enumerate(written, 1)]
        return "\n".join([query, "Tool calls:", *lines])

    def get_ground_truth(self) -> str:
        return self.row["label"][0]

    def format_answer(self, answer: str) -> str:
        boxed = f"\\boxed{{{answer}}}"
        return boxed if last_boxed(boxed) == answer else answer  # unequal braces do not fit in a box


def describe(info: dict[str, Any]) -> str:
    """What a retrieval service says of itself, in a line."""
    said = {key: printable(value)[:200] for key, value in info.items() if isinstance(value, str)}
    method = f"dense by {said['encoder']}" if said.get("encoder") else said.get("method")
    return f"{method}, {info['passages']} passages of {said.get('corpus')}, sha256 {said.get('sha256')}"


def read_call(call: dict[str, Any], tools: list[str]) -> tuple[str, dict[str, Any], str | None]:
    """(tool, arguments, what is wrong with the call or None) of a tool call that a model wrote."""
    function = call.get("function")
    name, written = (function.get("name"), function.get("arguments")) if isinstance(function, dict) else ("", None)
    name = name if isinstance(name, str) else ""
    safe_name = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "unnamed"
    if name not in tools:
        return safe_name, {}, f"there is no tool of that name; the tools are: {', '.join(tools)}"
    try:
        if not isinstance(written, str) or len(written) > MAX_ARGUMENTS:
            raise ValueError
        arguments = json.loads(written)
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()  # no NaN, no half characters
    except (ValueError, RecursionError):
        return name, {}, f"the arguments are not a JSON object of at most {MAX_ARGUMENTS} characters"
    if not isinstance(arguments, dict):
        return name, {}, "the arguments are not a JSON object"
    return name, arguments, None


def normalise(text: str) -> str:
    """`text` without case, accents, punctuation, articles and extra spaces, for comparing answers.

    Characters are taken apart one by one: a whole text's accents would be sorted first, in time that grows as a square.
    """
    plain = "".join(unicodedata.normalize("NFKD", character) for character in text).casefold()
    plain = "".join(" " if unicodedata.category(c)[0] in "PZ" else c for c in plain if not unicodedata.combining(c))
    return " ".join(word for word in plain.split() if word not in ("a", "an", "the")) or text.strip().casefold()
