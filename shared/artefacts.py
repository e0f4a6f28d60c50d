"""The file names of the models that one level hands to the next."""

NOTEBOOK_MODEL = "model.pkl"  # level 1: the pickle that the engineer receives
MODEL_FILE = "model.skops"  # from level 2 on: the fitted pipeline, saved without pickle
MODEL_CARD = "model.json"  # from level 2 on: base rate, rows, the day it was trained as of
