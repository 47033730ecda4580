"""What runs beside the tasks: databases, sandboxes, search, simulators, judges."""
