"""Level 5, full MLOps: what is live is monitored, and a monitored need retrains, deploys and promotes by policy."""
