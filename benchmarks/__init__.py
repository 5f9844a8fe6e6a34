"""What the engine, the language and the operators cost, and what crashes do: scripts, run one by one."""
