"""The language: text, what it says, and what that means."""
