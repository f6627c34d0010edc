"""From the records of a study to scores, tables, figures and the report; nothing here trains or reads the data."""
