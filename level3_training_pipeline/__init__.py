"""Level 3, automated training: a pipeline that is tracked, registered and reproducible.

Read `run.py` first, then `pipeline/flow.py`.
"""
