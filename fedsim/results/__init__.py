"""What happened in a run: recorder, tables, summary and run directory."""
