"""The training pipeline: gather, validate, build features, tune, train, evaluate, register.

Read `flow.py` first: it runs the steps. Each step is a plain function in a module of its own, without Prefect;
`record.py` writes what they found to MLflow, and `reproduce.py` builds a version again from its record.
"""
