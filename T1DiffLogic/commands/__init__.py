"""One file per command: `add` declares its arguments, `run` does it. No heavy import at file scope."""
