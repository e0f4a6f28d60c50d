"""What is remembered of every training: runs, registered versions, and where each version comes from.

Read `registry.py` first. `mlflow_runs.py` opens the tracking store, and `lineage.py` identifies code and environment.
"""
