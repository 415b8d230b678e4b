"""The scenario file: from YAML with positions to the frozen values that build a world."""
