"""Figures of the real world that scenarios name: GPU profiles, prices, round trips, failures.

Every figure has a source and a label: ``measured`` as its source published or recorded it,
``derived`` from such figures, or ``estimated`` by a model or quoted at second hand. The figures lie
in ``data/``; ``python tools/rebuild_catalogues.py FOLDER`` rebuilds that folder.
"""
