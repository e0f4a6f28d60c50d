"""The control plane decides which version serves: it runs experiments, moves aliases, and records every action.

It never answers a user's request, and no request waits for it: the workers follow the routes that it writes. Read
`control_plane` first (the decisions), then `api` (who may ask for what) and `server` (the process with its workers).
"""
