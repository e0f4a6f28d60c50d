"""Level 5, full MLOps: monitors check the model in production, and a policy decides when to retrain, test and promote.

`run.py` is the level from top to bottom. `monitors/` measure data, labels and performance, and `loop/` decides and
acts each night; `dashboard/` shows the year, `live_demo/` lets you work it, `benchmarks/` judge the monitors. Read
`run.py` first.
"""
