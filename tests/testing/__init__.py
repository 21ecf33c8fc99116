"""What post3 gives to tests: the server, its clock, its faults, and pytest's fixtures."""
