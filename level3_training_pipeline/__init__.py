"""Level 3, automated training: a pipeline, experiment tracking, a registry. This front door is all that others import."""
