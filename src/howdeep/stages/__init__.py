"""The stages of dvc.yaml, one file each, named as the stage; what brings MLflow in line; what compares revisions.

Imports everything below. Nothing below imports a stage.
"""
