"""The prediction service of one release: read `app` first, then `requests`, which defines what a caller may send.

A release runs it as `python -m level2_devops.service`. `worker_process` starts that command on a shared socket;
`uvicorn_server`, `limits`, `strict_json` and `observability` hold what the servers of later levels use too.
"""
