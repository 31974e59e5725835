"""Plans an experiment: chooses and checks every open setting, and estimates the cost."""
