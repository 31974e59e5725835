"""From an experiment to a plan: every open setting decided, checked and costed."""
