# The tasks of this project. `just` lists them; `just check` is exactly what CI runs.

python := env("SYSGATE_PYTHON", if path_exists(".venv/bin/python") == "true" { justfile_directory() / ".venv/bin/python" } else { "python3" })

shared := env("SYSGATE_SHARED", justfile_directory() / ".." / "shared")

# List the tasks
default:
    @just --list

# All that CI checks beside the tests: format, lint, types, stale facts
check: lint types facts

# Style and likely mistakes
lint:
    {{python}} -m ruff check .

# Types, strictly
types:
    {{python}} -m mypy

# Are the committed facts what the generators make? (needs the corpus beside the checkout)
facts:
    {{python}} tools/make_facts.py {{shared}}/facts --check
    {{python}} tools/make_ftrace_formats.py {{shared}}/facts/ftrace-formats.jsonl --check

# The tests
test *arguments:
    {{python}} -m pytest {{arguments}}

# Sizes and speeds, beside the peers'
bench *arguments:
    {{python}} -m bench {{arguments}}
