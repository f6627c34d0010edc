"""What is asked: the study of params.yaml, each config composed, matched and tuned fairly.

Imports `records`, `training` and what is below. Trains nothing, and knows no MLflow.
"""
