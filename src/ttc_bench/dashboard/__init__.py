"""The dashboard: pages that arrange what the report and the notebook show too."""
