"""Deployment-time learning in a deployment: an agent and its policy behind the OpenAI protocol.

messages.py   the query in a client's messages, the chosen cases in what the upstream is sent
upstream.py   who answers: a server of the OpenAI protocol, or an LLM of this process
ledger.py     what must not be lost: answered requests and their feedback, in SQLite
learner.py    the bank and the policy: chooses for requests, learns from feedback beside them
service.py    one tenant's ledger and learner, and what every request and feedback does to them
stats.py      success with and without cases, with intervals; the metrics
app.py        the routes, keys and limits
cli.py        the command line; replay.py plays a finished run through the endpoint
"""
