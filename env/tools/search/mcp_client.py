"""A synchronous MCP client: starts a tool server, lists its tools as the chat interface wants them, and calls them."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import UserError, missing_package

CALL_SECONDS = 120.0


@dataclass(frozen=True)
class ToolResult:
    """What a tool said; `ok` is False where the call was wrong, and `text` says why."""

    text: str
    ok: bool


class MCPToolServer:
    """A tool server in a child process, spoken to over its standard input and output.

    The SDK is asynchronous: its event loop runs in a thread of its own, for as long as the connection is open. The
    child gets none of this process's environment but what it needs to run and `environment`.

    Raises UserError where the package is missing or the server does not start.
    """

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        try:
            import anyio
            import mcp
            from anyio.from_thread import start_blocking_portal
            from mcp.client.stdio import stdio_client

            if sys.version_info < (3, 11):
                from exceptiongroup import ExceptionGroup  # what anyio raises there
            else:
                from builtins import ExceptionGroup
        except ImportError as error:
            raise missing_package(error) from None
        self._failures = (mcp.MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)
        self._stack = ExitStack()
        self._messages = self._stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
        parameters = mcp.StdioServerParameters(command=command[0], args=command[1:], env=environment or {}, cwd=folder)
        client = mcp.Client(stdio_client(parameters, errlog=self._messages), read_timeout_seconds=CALL_SECONDS)
        try:
            self._portal = self._stack.enter_context(start_blocking_portal())
            self._client = self._stack.enter_context(self._portal.wrap_async_context_manager(client))
            listed = self._portal.call(self._client.list_tools)
        except (*self._failures, ExceptionGroup) as error:
            problem = self._last_words() or str(error)
            self._stack.close()
            raise UserError(f"the tool server did not start: {problem}") from error
        except BaseException:
            self._stack.close()
            raise
        self.tools: list[dict[str, Any]] = [as_function(tool) for tool in listed.tools]

    @property
    def names(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.tools]

    def call(self, name: str, arguments: dict[str, Any]) -> ToolResult:
        """Call a tool. Raises UserError where the server or a service behind it does not answer."""
        try:
            result = self._portal.call(self._client.call_tool, name, arguments)
        except self._failures as error:
            raise UserError(
                f"the tool {name} does not answer ({self._last_words() or error}): nothing of this step was scored; "
                "the same command goes on from here once it does"
            ) from error
        text = "\n".join(block.text for block in result.content if block.type == "text")
        return ToolResult(text, not result.is_error)

    def close(self) -> None:
        self._stack.close()

    def _last_words(self) -> str:
        """The last line that the server wrote to its standard error."""
        self._messages.seek(0)
        lines = self._messages.read().strip().splitlines()
        return lines[-1] if lines else ""


def as_function(tool: Any) -> dict[str, Any]:
    """An MCP tool as a function of the chat-completions interface."""
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
    return {"type": "function", "function": function}
