"""Level 5 as a live demo: `make up` serves the page with a clock to pause, step and speed up, and faults to inject.

`__main__.py` is its process: it opens `doorway.py` at once, then `demo.py` starts everything and replays the year.
`clock.py` paces the hours and injects the faults; `server.py` serves the page with its controls, `activity.py` names
what is under way, `tool_pages.py` starts other tools' pages; `processes.py` starts and ends the demo and keeps a record
of its processes. Start with `demo.py`.
"""
