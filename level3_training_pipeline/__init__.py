"""Level 3, automated training: pipeline, tracking, registry. This front door is all that others import."""
