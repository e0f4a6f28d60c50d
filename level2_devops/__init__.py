"""Level 2, DevOps without MLOps: features and model as tested code, a web service, gated releases and rollback."""
