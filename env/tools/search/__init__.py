"""Searching a corpus: its index, the HTTP service over it, and the tools a model calls, served over MCP."""
