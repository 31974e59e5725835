"""What a person reads of a run: report, plots, verdict, data quality."""
