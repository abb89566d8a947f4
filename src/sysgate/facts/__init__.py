"""What Linux is, as data: architectures, calls, arguments, constants, groups, ages and risks (docs/facts.md)."""
