"""The year as people see it: one page, Prometheus metrics and Evidently's reports, all read from the log's tables.

`data.py` reads what the page shows and `events.py` what happened; `page.py` draws it with the templates. `metrics.py`
serves the same tables to Prometheus, and `evidently_reports.py` adds Evidently's own report of each week. Start with
`data.py`.
"""
