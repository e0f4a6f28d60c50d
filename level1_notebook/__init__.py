"""Level 1, the lone notebook: a model is trained by hand and thrown over the wall to whoever must run it."""
