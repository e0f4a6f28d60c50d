"""Level 5, full MLOps: monitors check the model in production, and a policy decides when to retrain, test and promote.

`run.py` is the level from top to bottom. `monitors/` measure data, labels and performance, and `loop/` decides and
acts each night. `live_year/` plays a year with faults and `policy_backtest/` says what retraining was worth;
`dashboard/` shows the year, `live_demo/` lets you work it, `benchmarks/` judge monitors and policies. Read `run.py`
first.
"""
