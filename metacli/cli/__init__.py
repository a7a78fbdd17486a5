"""The command line: parse, call one engine function, show what came back."""
