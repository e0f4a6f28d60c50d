"""Level 4, automated deployment: models on a platform, A/B tests. This front door is all that others import."""
