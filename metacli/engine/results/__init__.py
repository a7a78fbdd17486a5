"""What the verbs return: one frozen dataclass each, typed once for Python, `--json` and people."""
