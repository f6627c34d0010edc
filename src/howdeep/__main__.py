from howdeep.cli import main

raise SystemExit(main())
