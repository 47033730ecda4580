"""ScienceWorld's simulator behind a gateway that asks for a token. Imported when a game is played.

The package's own ScienceWorldEnv starts the gateway without one, and a gateway runs whatever Java it is asked to: while
it listened, any user of the machine could run commands as this one. So the simulator is started here, by py4j with
authentication. Java makes the token, which reaches this process through a pipe; nobody else sees it.
"""

from __future__ import annotations

from typing import Any

from py4j.java_gateway import JavaGateway
from scienceworld.constants import BASEPATH, JAR_PATH

# All hash codes equal: see env/scienceworld.py
REPEATABLE = ["-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2"]


class LabServer:
    """A Java process with the simulator in it. `agent` is its interface, whose methods are Java's."""

    def __init__(self) -> None:
        self._gateway = JavaGateway.launch_gateway(
            classpath=JAR_PATH, javaopts=REPEATABLE, cwd=BASEPATH, die_on_exit=True, enable_auth=True
        )
        self.process = self._gateway.java_process
        self.port: int = self._gateway.gateway_parameters.port
        self.agent: Any = self._gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()

    def close(self) -> None:
        """End the process: it stops at the end of its standard input."""
        self._gateway.shutdown()
        self.process.stdin.close()
