from howdeep.cli import script

raise SystemExit(script())
