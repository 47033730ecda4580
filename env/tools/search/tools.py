"""The MCP server that offers the search tools over its standard input and output.

    python -m env.tools.search.tools --retrieval_url http://127.0.0.1:8765 [--web_search]

What is the model's fault (an empty query) comes back as a tool error, which the model reads. What is nobody's fault (a
service that does not answer) comes back as a protocol error, which stops the run: an outage is not a wrong answer.
"""

from __future__ import annotations

import argparse
import os
from typing import Annotated, Any

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import INTERNAL_ERROR
from pydantic import Field

from .client import Outage, Refused, call

TOPK = 3
MAX_QUERY = 1000  # characters
SERPER_URL = "https://google.serper.dev/search"  # SERPER_URL in the environment names another of the same interface
SERVER_NAME = "search"


def make_server(retrieval_url: str, web_search: bool) -> MCPServer:
    """The tools over the retrieval service at `retrieval_url` and, with `web_search`, over Serper."""
    server = MCPServer(SERVER_NAME, log_level="ERROR")

    @server.tool(structured_output=False)
    def retrieve(query: Annotated[str, Field(description="what to look for, in words")]) -> str:
        """Search an encyclopedia. Returns the passages that fit the query best, each beginning with its title."""
        body = {"queries": [checked(query)], "topk": TOPK, "return_scores": False}
        passages = ask_service(f"{retrieval_url}/retrieve", body, {}, lambda reply: reply["result"][0])
        return numbered([passage["contents"] for passage in passages])

    if web_search:

        @server.tool(structured_output=False)
        def google_search(query: Annotated[str, Field(description="what to type into the search box")]) -> str:
            """Search the web with Google. Returns titles and snippets of the first results."""
            headers = {"X-API-KEY": os.environ.get("SERPER_API_KEY", "")}
            url = os.environ.get("SERPER_URL") or SERPER_URL
            results = ask_service(url, {"q": checked(query), "num": TOPK}, headers, read_serper)
            return numbered(results[:TOPK])

    return server


def checked(query: str) -> str:
    if not query.strip():
        raise ToolError("the query is empty")
    if len(query) > MAX_QUERY:
        raise ToolError(f"the query is longer than {MAX_QUERY} characters")
    return query


def ask_service(url: str, body: dict[str, Any], headers: dict[str, str], read: Any) -> Any:
    """Call a service and read its reply; what goes wrong becomes the model's error or an outage."""
    try:
        return read(call(url, body, headers))
    except Refused as error:
        raise ToolError(f"the search was refused ({error})") from None
    except Outage as error:
        raise MCPError(INTERNAL_ERROR, str(error)) from None
    except (LookupError, TypeError, AttributeError):
        raise MCPError(INTERNAL_ERROR, f"{url}: the reply is not a search result") from None


def read_serper(reply: dict[str, Any]) -> list[str]:
    """Google's own answer, where it gives one, and the results, each as a title and its text."""
    box = reply.get("answerBox") or {}
    answer = box.get("answer") or box.get("snippet")
    found = [f"{box.get('title', 'Answer')}\n{answer}"] if answer else []
    return found + [f"{result['title']}\n{result.get('snippet', '')}" for result in reply.get("organic", [])]


def numbered(results: list[str]) -> str:
    return "\n\n".join(f"[{number}] {text}" for number, text in enumerate(results, 1)) or "nothing was found"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retrieval_url", required=True)
    parser.add_argument("--web_search", action="store_true")
    arguments = parser.parse_args()
    make_server(arguments.retrieval_url, arguments.web_search).run("stdio")


if __name__ == "__main__":
    main()
