"""Level 4, automated deployment: models on a platform, gates, A/B tests, and rollback by one command."""
