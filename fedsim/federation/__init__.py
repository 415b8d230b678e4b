"""The federation itself: its contracts and the real objects, free of any simulator."""
