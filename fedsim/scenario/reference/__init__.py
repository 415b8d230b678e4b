"""The preset ``apr`` in scenario files; its objects are in `fedsim.federation.reference`."""
