"""The agents that are more than a row of the agents' table."""
