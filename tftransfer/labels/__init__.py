"""From the cells of tables and from arrays to labels: problem type, classes, and why."""
