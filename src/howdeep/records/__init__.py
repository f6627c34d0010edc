"""What a run leaves: its record, its key (`fingerprint`), its origin (`provenance`), trials and artifacts.

Imports `training` and what is below. Knows no MLflow: that is a view of what lies here.
"""
