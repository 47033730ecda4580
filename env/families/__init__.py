"""What several tasks share: bases of tasks of one kind."""
